package kind

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func node(name string, ready corev1.ConditionStatus, cordoned bool) corev1.Node {
	return corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{Unschedulable: cordoned},
		Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready, Reason: "KubeletNotReady", Message: "cni plugin not initialized"}}}}
}

func readyPod(name, nodeName, ip string) corev1.Pod {
	return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{NodeName: nodeName},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: ip, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}}
}

func TestJudgePods(t *testing.T) {
	a, b := readyPod("a", "n1", "10.0.0.1"), readyPod("b", "n2", "10.0.1.1")
	sameNode, ending, noAddress := readyPod("c", "n1", "10.0.0.2"), readyPod("d", "n2", "10.0.1.2"), readyPod("e", "n2", "")
	ending.DeletionTimestamp = &metav1.Time{}
	pulling := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "f"}, Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
		{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: "not found"}}}}}}
	cases := map[string]struct {
		pods []corev1.Pod
		ok   bool
		seen string
	}{
		"one on each":   {[]corev1.Pod{a, b}, true, "2 ready pods on 2 of 2 nodes"},
		"one missing":   {[]corev1.Pod{a}, false, "1 ready pods"},
		"both on one":   {[]corev1.Pod{a, sameNode}, false, "on 1 of 2 nodes"},
		"one is ending": {[]corev1.Pod{a, ending}, false, "d"},
		"no address":    {[]corev1.Pod{a, noAddress}, false, "e"},
		"pulling":       {[]corev1.Pod{a, pulling}, false, "f: ErrImagePull not found"},
		"none":          {nil, false, "0 ready pods"},
	}
	for name, c := range cases {
		if ok, seen := judgePods(c.pods, 2); ok != c.ok || !strings.Contains(seen, c.seen) {
			t.Errorf("%s: %v %q, want %v %q", name, ok, seen, c.ok, c.seen)
		}
	}
}

// measured parses a line as the probe image prints it.
func measured(t *testing.T, line string) measurement {
	t.Helper()
	m, err := parseMeasurement(line)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestJudgements(t *testing.T) {
	bound := corev1.PersistentVolumeClaim{Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound}}
	pending := corev1.PersistentVolumeClaim{Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending}}
	dns := func(m measurement) error { return judgeDNS(m, "10.96.0.1") }
	peer := func(m measurement) error { return judgePeer(m, "10.244.1.2", "probe-b") }
	write := func(m measurement) error { return judgeVolume(bound, m) }
	unbound := func(m measurement) error { return judgeVolume(pending, m) }
	cases := map[string]struct {
		judge func(measurement) error
		line  string
		fault string // "" is good
	}{
		"dns good":                 {dns, `{"check":"dns","outcome":"ok","data":["10.96.0.1"]}`, ""},
		"dns other address":        {dns, `{"check":"dns","outcome":"ok","data":["10.96.0.7"]}`, "not 10.96.0.1"},
		"dns empty":                {dns, `{"check":"dns","outcome":"ok"}`, "not 10.96.0.1"},
		"dns no answer":            {dns, `{"check":"dns","outcome":"timeout","detail":"i/o timeout"}`, "timeout"},
		"peer good":                {peer, `{"check":"get","outcome":"ok","data":{"pod":"probe-b","node":"n","remoteAddr":"10.244.1.2"}}`, ""},
		"peer good with port":      {peer, `{"check":"get","outcome":"ok","data":{"pod":"probe-b","node":"n","remoteAddr":"10.244.1.2:4711"}}`, ""},
		"peer masqueraded":         {peer, `{"check":"get","outcome":"ok","data":{"pod":"probe-b","node":"n","remoteAddr":"172.18.0.3"}}`, "masqueraded"},
		"peer another pod":         {peer, `{"check":"get","outcome":"ok","data":{"pod":"probe-c","node":"n","remoteAddr":"10.244.1.2"}}`, "probe-c"},
		"peer not ours":            {peer, `{"check":"get","outcome":"ok","data":"hello"}`, "not the probe's"},
		"peer unreachable":         {peer, `{"check":"get","outcome":"unreachable","detail":"no route to host"}`, "no route"},
		"volume good":              {write, `{"check":"write","outcome":"ok"}`, ""},
		"volume read-only":         {write, `{"check":"write","outcome":"error","detail":"read-only file system"}`, "read-only"},
		"volume not bound":         {unbound, `{"check":"write","outcome":"ok"}`, "Pending"},
		"gone refused":             {judgeRefusal, `{"check":"dial","outcome":"refused","durationMs":0.4}`, ""},
		"gone unreachable":         {judgeRefusal, `{"check":"dial","outcome":"unreachable","durationMs":999}`, ""},
		"gone hangs":               {judgeRefusal, `{"check":"dial","outcome":"timeout","durationMs":5000}`, "nobody refused"},
		"gone refused late":        {judgeRefusal, `{"check":"dial","outcome":"unreachable","durationMs":3050}`, "later than 1s"},
		"gone still answers":       {judgeRefusal, `{"check":"dial","outcome":"ok","durationMs":0.4}`, "still answers"},
		"gone failed another way":  {judgeRefusal, `{"check":"dial","outcome":"error","durationMs":0.4}`, "nobody refused"},
		"gone timed out, but soon": {judgeRefusal, `{"check":"dial","outcome":"timeout","durationMs":10}`, "nobody refused"},
	}
	for name, c := range cases {
		err := c.judge(measured(t, c.line))
		switch {
		case c.fault == "" && err != nil:
			t.Errorf("%s: refused: %v", name, err)
		case c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)):
			t.Errorf("%s: got %v, want %q", name, err, c.fault)
		}
	}
}

func TestAMeasurementMustBeOne(t *testing.T) {
	for _, bad := range []string{"", "panic: no", "{}", `{"outcome":""}`, "[]"} {
		if _, err := parseMeasurement(bad); err == nil {
			t.Errorf("%q was taken for a measurement", bad)
		}
	}
}

func TestJudgeNodePort(t *testing.T) {
	cases := map[string]struct {
		status int
		body   string
		ok     bool
	}{
		"our pod":     {200, `{"pod":"a"}`, true},
		"another pod": {200, `{"pod":"z"}`, false},
		"another app": {200, `<html>`, false},
		"bad status":  {503, `{"pod":"a"}`, false},
		"nothing":     {200, ``, false},
	}
	for name, c := range cases {
		if err := judgeNodePort(c.status, []byte(c.body), []string{"a", "b"}); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
