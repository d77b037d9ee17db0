package timeline

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/resource"
)

var (
	api = history.Workload{Namespace: "shop", Kind: "Rollout", Name: "api"}
	web = history.Workload{Namespace: "shop", Kind: "Rollout", Name: "web"}
)

// replicaSet is one that a watch saw last as told.
func replicaSet(namespace, name string, o resource.ReplicaSet) *Track[resource.ReplicaSet] {
	return &Track[resource.ReplicaSet]{Namespace: namespace, Name: name, Seen: []Seen[resource.ReplicaSet]{{Object: o}}, Gone: Never}
}

func ownedReplicaSet(w history.Workload, version, hash string) *Track[resource.ReplicaSet] {
	return replicaSet(w.Namespace, w.Name+"-"+hash, resource.ReplicaSet{Owner: &resource.Owner{Kind: w.Kind, Name: w.Name}, Version: version, Hash: hash})
}

// The hash of a release is that of the one ReplicaSet that carries its version; where several do, the version says nothing by itself.
func TestWhatReplicaSetsTellOfARelease(t *testing.T) {
	type sets = []*Track[resource.ReplicaSet]
	for name, c := range map[string]struct {
		hash  string // as the record tells it
		sets  sets
		want  string
		alone bool
	}{
		"none":                        {"", sets{}, "", false},
		"one":                         {"", sets{ownedReplicaSet(api, "v2", "h2"), ownedReplicaSet(api, "v1", "h1")}, "h2", true},
		"one, and it is told":         {"h2", sets{ownedReplicaSet(api, "v2", "h2")}, "h2", true},
		"one, and another is told":    {"h9", sets{ownedReplicaSet(api, "v2", "h2")}, "h9", false},
		"two":                         {"", sets{ownedReplicaSet(api, "v2", "h2"), ownedReplicaSet(api, "v2", "h3")}, "", false},
		"two, and the first is told":  {"h2", sets{ownedReplicaSet(api, "v2", "h2"), ownedReplicaSet(api, "v2", "h3")}, "h2", false},
		"one that came back":          {"", sets{ownedReplicaSet(api, "v2", "h2"), ownedReplicaSet(api, "v2", "h2")}, "h2", true},
		"one without a hash":          {"", sets{ownedReplicaSet(api, "v2", "")}, "", false},
		"one of nobody":               {"", sets{replicaSet("shop", "x", resource.ReplicaSet{Version: "v2", Hash: "h2"})}, "", false},
		"one of another workload":     {"", sets{ownedReplicaSet(web, "v2", "h2")}, "", false},
		"one of another kind":         {"", sets{ownedReplicaSet(history.Workload{Namespace: "shop", Kind: "Deployment", Name: "api"}, "v2", "h2")}, "", false},
		"one of another namespace":    {"", sets{ownedReplicaSet(history.Workload{Namespace: "x", Kind: "Rollout", Name: "api"}, "v2", "h2")}, "", false},
		"one, beside one of another":  {"", sets{ownedReplicaSet(web, "v2", "h3"), ownedReplicaSet(api, "v2", "h2")}, "h2", true},
		"one, beside one of no hash":  {"", sets{ownedReplicaSet(api, "v2", ""), ownedReplicaSet(api, "v2", "h2")}, "h2", true},
		"another version of one hash": {"h1", sets{ownedReplicaSet(api, "v1", "h1")}, "h1", false},
	} {
		line := &Timeline{Cluster: Cluster{ReplicaSets: c.sets}}
		id := Identity{Workload: api, Version: "v2", Hash: c.hash}
		if line.identify(&id); id.Hash != c.want || id.alone != c.alone {
			t.Errorf("%s: hash %q, alone %v, want %q, %v", name, id.Hash, id.alone, c.want, c.alone)
		}
	}
}

func TestWhoGaveAnAnswer(t *testing.T) {
	pods := []*Pod{
		{Name: "a", Namespace: "shop", Hash: "h1", Seen: 0}, {Name: "a", Namespace: "shop", Hash: "h2", Seen: 50},
		{Name: "a", Namespace: "x", Hash: "h3", Seen: 40}, {Name: "blank", Namespace: "shop"},
	}
	whole := Identity{Workload: api, Version: "v2", Hash: "h2"}
	hit := history.Hit{Version: "v2", Pod: "a", At: 45, Latency: 5}
	for name, c := range map[string]struct {
		format       int
		change       func(id *Identity, arm *Arm, h *history.Hit)
		claims, gave bool
	}{
		"its pod":                             {2, func(*Identity, *Arm, *history.Hit) {}, true, true},
		"the pod of that name before":         {2, func(_ *Identity, _ *Arm, h *history.Hit) { h.Latency = 4 }, true, false},
		"of the hash before":                  {2, func(id *Identity, _ *Arm, h *history.Hit) { id.Hash, h.Latency = "h1", 4 }, true, true},
		"before any pod of the name was seen": {2, func(id *Identity, _ *Arm, h *history.Hit) { id.Hash, h.At = "h1", -50 }, true, true},
		"another pod":                         {2, func(id *Identity, _ *Arm, _ *history.Hit) { id.Hash, id.alone = "h1", true }, true, false},
		"no pod tells":                        {2, func(_ *Identity, _ *Arm, h *history.Hit) { h.Pod = "" }, true, false},
		"no pod tells, alone":                 {2, func(id *Identity, _ *Arm, h *history.Hit) { h.Pod, id.alone = "", true }, true, true},
		"a pod of no hash, alone":             {2, func(id *Identity, _ *Arm, h *history.Hit) { h.Pod, id.alone = "blank", true }, true, true},
		"no hash, alone":                      {2, func(id *Identity, _ *Arm, _ *history.Hit) { id.Hash, id.alone = "", true }, true, true},
		"no hash":                             {2, func(id *Identity, _ *Arm, _ *history.Hit) { id.Hash = "" }, true, false},
		"another version":                     {2, func(_ *Identity, _ *Arm, h *history.Hit) { h.Version = "v1" }, false, false},
		"no version":                          {2, func(id *Identity, _ *Arm, h *history.Hit) { h.Version, id.Version = "", "" }, false, false},
		"an arm of another workload":          {2, func(_ *Identity, arm *Arm, _ *history.Hit) { arm.Workload = web }, false, false},
		"no workload is told": {2, func(id *Identity, arm *Arm, _ *history.Hit) {
			arm.Workload, id.Workload, id.alone = history.Workload{}, history.Workload{}, true
		}, true, false},
		"format 1":                     {1, func(_ *Identity, arm *Arm, h *history.Hit) { arm.Workload, h.Pod = history.Workload{}, "" }, true, true},
		"format 1, of another version": {1, func(_ *Identity, _ *Arm, h *history.Hit) { h.Version = "v1" }, false, false},
	} {
		line := &Timeline{Run: history.Run{Format: c.format}, named: map[string][]*Pod{"a": pods[:3], "blank": pods[3:]}}
		id, arm, h := whole, Arm{Workload: api}, hit
		c.change(&id, &arm, &h)
		if claims, gave := line.Claims(&id, &arm, &h), line.Gave(&id, &arm, &h); claims != c.claims || gave != c.gave {
			t.Errorf("%s: claims %v, gave %v, want %v, %v", name, claims, gave, c.claims, c.gave)
		}
	}
}

func TestFormat1KnowsNoWorkloads(t *testing.T) {
	for format, want := range map[int]bool{1: true, 2: false} {
		line := &Timeline{Run: history.Run{Format: format}}
		if got := line.SameWorkload(api, web); got != want || !line.SameWorkload(api, api) {
			t.Errorf("format %d: another workload is the same: %v, want %v", format, got, want)
		}
		if got := line.Serves(&Arm{Workload: api}, web); got != want || !line.Serves(&Arm{Workload: api}, api) {
			t.Errorf("format %d: an arm serves another workload: %v, want %v", format, got, want)
		}
	}
}

// An injection excuses its own answers, of its own kind, in its own time.
func TestWhatAnInjectionExcuses(t *testing.T) {
	line := &Timeline{
		Disturbances: []*Disturbance{
			{ID: "no injection", Workload: api, Began: 0, Healed: Never, Failed: Never},
			{ID: "never began", Workload: api, Injects: "v2", Began: Never, Healed: Never, Failed: Never},
			{ID: "healed", Workload: api, Injects: "v2", Hash: "h2", Began: 100, Healed: 200, Failed: 150, Fault: history.Fault{Status: 500}},
			{ID: "failed", Workload: api, Injects: "v3", Hash: "h3", Began: 100, Healed: Never, Failed: 200, Fault: history.Fault{Slow: true}},
			{ID: "for ever", Workload: api, Injects: "v4", Hash: "h4", Began: 100, Healed: Never, Failed: Never},
		},
		Cluster: Cluster{ReplicaSets: []*Track[resource.ReplicaSet]{ownedReplicaSet(api, "v2", "h2"), ownedReplicaSet(api, "v3", "h3"), ownedReplicaSet(api, "v4", "h4")}},
	}
	var injected []string
	for _, i := range line.Injections() {
		injected = append(injected, fmt.Sprintf("%s %s from %d until %d", i.Version, i.Hash, i.From, i.Until))
	}
	if want := []string{"v2 h2 from 100 until 200", "v3 h3 from 100 until 200", fmt.Sprintf("v4 h4 from 100 until %d", Never)}; !slices.Equal(injected, want) {
		t.Errorf("injections %q, want %q", injected, want)
	}
	arm := &Arm{Workload: api, Windows: []*Window{{Window: history.Window{Index: 1, Deadline: 50}}, {Window: history.Window{Index: 2}}}}
	status := func(version string, code uint16, from, until time.Duration) history.Hit {
		return history.Hit{Window: 1, Version: version, Code: code, At: from, Latency: until - from, Class: history.ClassApplication, Reason: history.ReasonStatus(code)}
	}
	changed := func(h history.Hit, change func(*history.Hit)) history.Hit { change(&h); return h }
	for name, c := range map[string]struct {
		hit           history.Hit
		failure, slow bool
	}{
		"its status":                         {status("v2", 500, 110, 120), true, false},
		"another status":                     {status("v2", 501, 110, 120), false, false},
		"as it begins":                       {status("v2", 500, 90, 100), true, false},
		"before it begins":                   {status("v2", 500, 90, 99), false, false},
		"one deadline after its end":         {status("v2", 500, 240, 250), true, false},
		"later than that":                    {status("v2", 500, 241, 251), false, false},
		"exactly in time":                    {status("v2", 500, 110, 160), true, false},
		"not in time":                        {status("v2", 500, 110, 161), false, false},
		"of another version":                 {status("v1", 500, 110, 120), false, false},
		"torn":                               {changed(status("v2", 500, 110, 120), func(h *history.Hit) { h.Reason = "truncated" }), false, false},
		"on the ingress's account":           {changed(status("v2", 500, 110, 120), func(h *history.Hit) { h.Class = history.ClassIngress }), false, false},
		"never sent":                         {changed(status("v2", 500, 110, 120), func(h *history.Hit) { h.Unsent = true }), false, false},
		"without an end":                     {status("v2", 500, 110, 120), true, false},
		"slow: no status":                    {status("v3", 500, 110, 120), false, true},
		"slow: no answer":                    {status("v3", 0, 110, 120), false, true},
		"slow: after it was given up":        {status("v3", 500, 241, 251), false, false},
		"untold: an error of a server":       {status("v4", 500, 110, 120), true, true},
		"untold: no error of a server":       {status("v4", 499, 110, 120), false, true},
		"untold: much later":                 {status("v4", 503, 9000, 9010), true, true},
		"no deadline is told, meanwhile":     {changed(status("v2", 500, 110, 200), func(h *history.Hit) { h.Window = 2 }), true, false},
		"no deadline is told, after its end": {changed(status("v2", 500, 110, 201), func(h *history.Hit) { h.Window = 2 }), false, false},
	} {
		excuses := line.ExcusesOf(arm)
		for _, before := range []int{1, 2} { // the deadline is that of the hit's own window, whatever was asked before
			excuses.Failure(&history.Hit{Window: before})
			if got := excuses.Failure(&c.hit) != nil; got != c.failure {
				t.Errorf("%s: the failure is excused: %v, want %v", name, got, c.failure)
			}
			if got := excuses.Slowness(&c.hit) != nil; got != c.slow {
				t.Errorf("%s: it is slow on purpose: %v, want %v", name, got, c.slow)
			}
		}
	}
	arm.Windows[0].Index = 0 // the first hit may be of the first window that anybody can think of
	hit := status("v2", 500, 110, 161)
	hit.Window = 0
	if line.ExcusesOf(arm).Failure(&hit) != nil {
		t.Error("a late answer of window 0 is excused")
	}
	slow := &Injection{Fault: history.Fault{Status: 500, Slow: true}}
	if line.Disturbances[2].Fault = slow.Fault; line.ExcusesOf(arm).Failure(&hit) == nil {
		t.Error("a late answer of a release that is slow on purpose too is not excused")
	}
	if got := (&Timeline{}).ExcusesOf(arm).Failure(&hit); got != nil {
		t.Error("a failure is excused by nothing")
	}
}
