package kind

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"bitvault.dev/rollproof/harness/kube"
	"bitvault.dev/rollproof/harness/words"
)

// This file judges what the readiness checks saw. It is pure: every rule is tested with planted bad answers.

// refusalLimit: a client that dials the address of a pod that is gone must learn so within this time, or its failover waits for its
// connect timeout instead (a PostgreSQL standby's is 5 s). The cure on the nodes is an unreachable route, see fixtures/images/routes.
const refusalLimit = time.Second

// identity is what the probe image answers on every request.
type identity struct {
	Pod        string `json:"pod"`
	Node       string `json:"node"`
	RemoteAddr string `json:"remoteAddr"`
}

// measurement is what a check of the probe image prints.
type measurement struct {
	Check      string          `json:"check"`
	Target     string          `json:"target"`
	Outcome    string          `json:"outcome"` // ok, refused, unreachable, timeout or error
	DurationMS float64         `json:"durationMs"`
	Status     int             `json:"status"`
	Data       json.RawMessage `json:"data"`
	Detail     string          `json:"detail"`
}

func (m measurement) took() time.Duration {
	return time.Duration(m.DurationMS * float64(time.Millisecond))
}

func (m measurement) String() string {
	text := fmt.Sprintf("%s %s: %s in %s", m.Check, m.Target, m.Outcome, words.Span(m.took()))
	if m.Detail != "" {
		text += " (" + m.Detail + ")"
	}
	return text
}

func parseMeasurement(output string) (measurement, error) {
	var m measurement
	if err := json.Unmarshal([]byte(output), &m); err != nil || m.Outcome == "" {
		return m, fmt.Errorf("the probe printed %q, which is no measurement", strings.TrimSpace(output))
	}
	return m, nil
}

// judgePods wants one ready pod with an address on each of want nodes.
func judgePods(pods []corev1.Pod, want int) (ok bool, seen string) {
	nodes := map[string]bool{}
	var waiting []string
	for i := range pods {
		if podReady(&pods[i]) {
			nodes[pods[i].Spec.NodeName] = true
		} else {
			waiting = append(waiting, kube.PodState(&pods[i]))
		}
	}
	if len(waiting) > 0 {
		return false, strings.Join(waiting, "; ")
	}
	return len(nodes) == want && len(pods) == want, fmt.Sprintf("%d ready pods on %d of %d nodes", len(pods), len(nodes), want)
}

func podReady(pod *corev1.Pod) bool { return kube.PodServes(pod) && pod.Status.PodIP != "" }

// judgeDNS wants the lookup of a Service to give the address that Service has.
func judgeDNS(m measurement, want string) error {
	var addresses []string
	if m.Outcome != "ok" {
		return fmt.Errorf("%s", m)
	}
	if err := json.Unmarshal(m.Data, &addresses); err != nil || !slices.Contains(addresses, want) {
		return fmt.Errorf("%s, but the answer was %s, not %s", m, m.Data, want)
	}
	return nil
}

// judgePeer wants the answer to come from the pod that was called, and that pod to have seen the caller's own address. An address of a
// node instead means masquerading inside the pod network: Redis Sentinel, for one, then never finds a replica to promote.
func judgePeer(m measurement, callerIP, targetPod string) error {
	var answer identity
	if m.Outcome != "ok" {
		return fmt.Errorf("%s", m)
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return fmt.Errorf("%s, but the answer %q is not the probe's", m, m.Data)
	}
	if answer.Pod != targetPod {
		return fmt.Errorf("%s, but pod %q answered for %s", m, answer.Pod, targetPod)
	}
	if hostOf(answer.RemoteAddr) != callerIP {
		return fmt.Errorf("%s, but %s saw %s instead of the caller's address %s: masqueraded", m, targetPod, answer.RemoteAddr, callerIP)
	}
	return nil
}

func hostOf(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

// judgeRefusal wants a dial to a gone pod's address to fail by an answer of the network, within refusalLimit.
func judgeRefusal(m measurement) error {
	switch {
	case m.Outcome == "ok":
		return fmt.Errorf("%s: something still answers there", m)
	case m.Outcome != "refused" && m.Outcome != "unreachable":
		return fmt.Errorf("%s: nobody refused it", m)
	case m.took() > refusalLimit:
		return fmt.Errorf("%s: refused, but later than %s", m, refusalLimit)
	}
	return nil
}

// judgeVolume wants the claim bound and a file written to it and read back.
func judgeVolume(claim corev1.PersistentVolumeClaim, m measurement) error {
	if claim.Status.Phase != corev1.ClaimBound {
		return fmt.Errorf("claim %s is %s", claim.Name, claim.Status.Phase)
	}
	if m.Outcome != "ok" {
		return fmt.Errorf("%s", m)
	}
	return nil
}

// judgeNodePort wants one of our own probe pods to have answered, not whatever else may listen on that port of this machine.
func judgeNodePort(status int, body []byte, pods []string) error {
	var answer identity
	if err := json.Unmarshal(body, &answer); status != 200 || err != nil {
		return fmt.Errorf("status %d, answer %q", status, strings.TrimSpace(string(body[:min(200, len(body))])))
	}
	if !slices.Contains(pods, answer.Pod) {
		return fmt.Errorf("answered by %q, which is none of our probe pods", answer.Pod)
	}
	return nil
}
