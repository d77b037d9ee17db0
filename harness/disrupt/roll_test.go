package disrupt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/resource"
	"bitvault.dev/rollproof/harness/wait"
)

// memberYAML is a pod of something of the name db that has members: its ordinal, its keeper's kind, its revision and its image.
const memberYAML = `
apiVersion: v1
kind: Pod
metadata: {name: db-%[1]d, namespace: shop, labels: {store: db, controller-revision-hash: "%[3]s"},
  ownerReferences: [{apiVersion: apps/v1, kind: %[2]s, name: db, uid: db-uid, controller: true}]}
spec: {nodeName: n1, containers: [{name: app}]}
status:
  phase: Running
  conditions: [{type: Ready, status: "True"}]
  containerStatuses: [{name: app, containerID: "containerd://c%[1]d-%[3]s", imageID: "%[4]s", state: {running: {}}}]
`

// roller is a StatefulSet of three pods, and its controller.
type roller struct {
	*bench
	mu    sync.Mutex
	stays int    // the pod of this ordinal is never replaced; none where it is negative
	image string // what pods run, instead of what the template says
}

func (r *roller) behave(stays int, image string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stays, r.image = stays, image
}

func (b *bench) statefulSet(strategy string) *roller {
	r := &roller{bench: b}
	r.behave(-1, "")
	b.put("statefulsets", `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop, uid: db-uid}
spec: {replicas: 3, updateStrategy: %s, template: {metadata: {labels: {store: db}}, spec: {containers: [{name: app, image: "registry/db@sha256:1111"}]}}}`, strategy)
	for i := range 3 {
		r.pod(i)
	}
	b.api.Handle(http.MethodGet, "/statefulsets/db", func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "application/json")
		return json.NewEncoder(w).Encode(r.told()) == nil
	})
	return r
}

// revision is that of the template, and image what it runs.
func (r *roller) revision() (revision, image string) {
	u := r.api.Get("statefulsets", "shop", "db")
	template, _, _ := unstructured.NestedMap(u.Object, "spec", "template")
	sum := fnv.New32()
	fmt.Fprint(sum, template)
	containers, _, _ := unstructured.NestedSlice(template, "spec", "containers")
	return fmt.Sprintf("r%x", sum.Sum32()), fmt.Sprint(containers[0].(map[string]any)["image"])
}

func (r *roller) pod(ordinal int) {
	revision, image := r.revision()
	if r.image != "" {
		image = r.image
	}
	r.put("pods", memberYAML, ordinal, "StatefulSet", revision, image)
}

// told is the StatefulSet with what its controller says of it.
func (r *roller) told() map[string]any {
	revision, _ := r.revision()
	updated := 0
	for _, pod := range r.api.All("pods") {
		if pod.GetLabels()["controller-revision-hash"] == revision {
			updated++
		}
	}
	current := revision
	if updated < 3 {
		current = "older"
	}
	u := r.api.Get("statefulsets", "shop", "db")
	u.Object["status"] = map[string]any{"observedGeneration": u.GetGeneration(), "replicas": 3, "readyReplicas": 3, "updatedReplicas": updated,
		"currentRevision": current, "updateRevision": revision}
	return u.Object
}

// step replaces the pod of the highest ordinal that is of an older revision.
func (r *roller) step() {
	r.mu.Lock()
	defer r.mu.Unlock()
	revision, _ := r.revision()
	for i := 2; i >= 0; i-- {
		pod := r.api.Get("pods", "shop", fmt.Sprint("db-", i))
		if pod.GetLabels()["controller-revision-hash"] == revision || i == r.stays {
			continue
		}
		r.api.Delete("pods", "shop", pod.GetName())
		r.pod(i)
		return
	}
}

var db = history.Workload{Namespace: "shop", Kind: "StatefulSet", Name: "db"}

func (b *bench) uids() []string {
	var all []string
	for _, pod := range b.api.All("pods") {
		all = append(all, string(pod.GetUID()))
	}
	return all
}

func TestARollingUpdateLandsWhenEveryPodIsAnother(t *testing.T) {
	const newer = "registry/db@sha256:2222"
	for name, revert := range map[string]bool{"it stays": false, "it is taken back": true} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			r := b.statefulSet("{type: RollingUpdate}")
			before, _ := r.revision()
			old := b.uids()
			b.play(r.step)
			if err := b.env.Perform(t.Context(), Roll{Workload: db, Image: newer, Annotations: map[string]string{"rolled": "1"}, Revert: revert}); err != nil {
				t.Fatal(err)
			}
			if now, image := r.revision(); now == before || image != newer {
				t.Errorf("the StatefulSet is of revision %s with image %s", now, image)
			}
			for _, uid := range b.uids() {
				if slices.Contains(old, uid) || !strings.Contains(b.tape.evidence(history.Landed), "uid "+uid+", Ready true, before uid ") {
					t.Errorf("pod %s is an old one, or no evidence: %s", uid, b.tape.evidence(history.Landed))
				}
			}
			if got := b.tape.events[0].Disturbance; got.Workload != db || got.Name != RollName {
				t.Errorf("recorded as %s of %s", got.Name, got.Workload)
			}
			b.heal()
			if now, _ := r.revision(); (now == before) != revert {
				t.Errorf("healed, the revision is %s, before %s", now, before)
			}
			if saw := b.tape.evidence(history.Healed); !strings.Contains(saw, "3 of 3 Ready, 3 of the newest template") {
				t.Errorf("healed: %q", saw)
			}
		})
	}
}

func TestRollingUpdatesThatDoNotLand(t *testing.T) {
	update := Roll{Workload: db, Annotations: map[string]string{"rolled": "1"}, Bound: short}
	cases := map[string]struct {
		roll     Roll
		strategy string
		stage    func(*roller)
		want     string // of the error; "" where it was waited for in vain
	}{
		"one pod stays": {update, "{type: RollingUpdate}", func(r *roller) { r.behave(0, "") }, ""},
		"the pods run another image": {Roll{Workload: db, Image: "registry/db@sha256:2222", Bound: short}, "{type: RollingUpdate}",
			func(r *roller) { r.behave(-1, "registry/db@sha256:3333") }, ""},
		"a partition holds pods back": {update, "{type: RollingUpdate, rollingUpdate: {partition: 1}}", nil, "holds the pods below ordinal 1 back"},
		"the template is so already": {Roll{Workload: db, Image: "registry/db@sha256:1111"}, "{type: RollingUpdate}", nil,
			"has this template already: nothing would be updated"},
		"no such StatefulSet": {Roll{Workload: history.Workload{Namespace: "shop", Kind: "StatefulSet", Name: "other"}, Image: digest}, "{}", nil, "get statefulset shop/other"},
		"no such container":   {Roll{Workload: db, Image: digest, Container: "side"}, "{}", nil, "has no container side"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			r := b.statefulSet(c.strategy)
			if c.stage != nil {
				c.stage(r)
			}
			before, _ := r.revision()
			b.play(r.step)
			refusedOrVain(t, b.env.Perform(t.Context(), c.roll), c.want)
			if got := b.tape.last(); got != history.Failed {
				t.Errorf("its last phase is %s", got)
			}
			r.behave(-1, "")
			b.heal() // what did not land is taken back
			if now, _ := r.revision(); now != before {
				t.Errorf("left at revision %s, before %s", now, before)
			}
		})
	}
}

// refusedOrVain asks for an error that says something, or, where nothing is asked for, for one that says that something was waited for in vain. What
// was seen last is not asked for: the last look may have been cut off.
func refusedOrVain(t *testing.T, err error, want string) {
	t.Helper()
	if want != "" {
		says(t, err, want)
		return
	}
	if timeout := (*wait.Timeout)(nil); !errors.As(err, &timeout) {
		t.Errorf("error %v, want one of a wait", err)
	}
}

func TestRollingUpdatesThatAreRefused(t *testing.T) {
	for want, d := range map[string]Disturbance{
		"name a StatefulSet with its namespace":                           Roll{Image: digest},
		`unknown kind of workload "Deployment"`:                           Roll{Workload: history.Workload{Namespace: "shop", Kind: "Deployment", Name: "db"}, Image: digest},
		"nothing would be updated":                                        Roll{Workload: db},
		"has no digest":                                                   Roll{Workload: db, Image: "registry/db:latest"},
		"name a workload with its namespace and kind":                     RollOperated{Patch: map[string]any{"spec": nil}},
		"name a patch":                                                    RollOperated{Operated: keeps},
		"say how the leader is found, and how the hand-over is asked for": Switchover{Operated: keeps},
		"name a node":                                                     StopNode{},
	} {
		b := newBench(t)
		says(t, b.env.Perform(t.Context(), d), want)
		if got := b.tape.phases(); got != "" {
			t.Errorf("%s: it began: %s", want, got)
		}
	}
}

// keeps is a cluster of three members that an operator keeps.
var keeps = Operated{Workload: history.Workload{Namespace: "shop", Kind: "Cluster", Name: "db"}, Kind: resource.PostgresClusters.Kind, Members: "store=db"}

// operator keeps a cluster: it starts its members anew when the cluster asks for something else, and has the one lead that is asked for.
type operator struct {
	*bench
	mu    sync.Mutex
	asks  string // what the members run
	leads string
}

func (o *operator) runs() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asks
}

func (b *bench) operated() *operator {
	o := &operator{bench: b, leads: "db-0"}
	b.put("clusters", `
apiVersion: postgresql.cnpg.io/v1
kind: Cluster
metadata: {name: db, namespace: shop, uid: db-uid}
spec: {instances: 3, parameters: {work: "4"}}`)
	for i := range 3 {
		b.put("pods", memberYAML, i, "Cluster", "1", "registry/db@sha256:1111")
	}
	o.asks = o.wanted()
	return o
}

func (o *operator) wanted() string {
	return fmt.Sprint(o.api.Get("clusters", "shop", "db").Object["spec"])
}

// step replaces every member whose spec is another one by now.
func (o *operator) step() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := o.wanted(); now != o.asks {
		for i := range 3 {
			name := fmt.Sprint("db-", i)
			o.api.Delete("pods", "shop", name)
			o.put("pods", memberYAML, i, "Cluster", "2", "registry/db@sha256:1111")
		}
		o.asks = now
	}
	to, _, _ := unstructured.NestedString(o.api.Get("clusters", "shop", "db").Object, "status", "targetPrimary")
	if to != "" {
		o.leads = to
	}
}

// leader is the pod that leads.
func (o *operator) leader(ctx context.Context, e *Env) (*corev1.Pod, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return e.Kube.CoreV1().Pods("shop").Get(ctx, o.leads, metav1.GetOptions{})
}

func (o *operator) switchover(bound time.Duration) Switchover {
	return Switchover{Operated: keeps, Leader: o.leader, Bound: bound, Order: func(to string, _ time.Time) map[string]any {
		return map[string]any{"targetPrimary": to}
	}}
}

func parameter(value string, bound time.Duration) RollOperated {
	return RollOperated{Operated: keeps, Bound: bound, Patch: map[string]any{"spec": map[string]any{"parameters": map[string]any{"work": value, "more": "1"}}}}
}

func TestAnOperatedUpdateLandsWhenEveryMemberRunsAnew(t *testing.T) {
	b := newBench(t)
	o := b.operated()
	before := o.wanted()
	b.play(o.step)
	roll := parameter("8", time.Minute)
	roll.Revert = true
	roll.Whole = func(u *unstructured.Unstructured) (bool, string) {
		return o.runs() == fmt.Sprint(u.Object["spec"]), "the operator is done"
	}
	if err := b.env.Perform(t.Context(), roll); err != nil {
		t.Fatal(err)
	}
	for _, uid := range b.uids() {
		if !strings.Contains(b.tape.evidence(history.Landed), uid) {
			t.Errorf("nothing tells of %s: %s", uid, b.tape.evidence(history.Landed))
		}
	}
	b.heal()
	if got := o.wanted(); got != before {
		t.Errorf("healed, the cluster asks for %s, before %s", got, before)
	}
	if saw := b.tape.evidence(history.Healed); !strings.Contains(saw, "3 of 3 members Ready, the operator is done") {
		t.Errorf("healed: %q", saw)
	}
}

// Right after the old state was asked for, everything is as whole as it was: healing waits until the operator has brought it back.
func TestHealingWaitsForTheOperator(t *testing.T) {
	b := newBench(t)
	o := b.operated()
	b.play(o.step)
	roll := parameter("8", time.Minute)
	roll.Revert = true
	if err := b.env.Perform(t.Context(), roll); err != nil {
		t.Fatal(err)
	}
	updated := b.uids()
	b.heal()
	for _, uid := range b.uids() {
		if slices.Contains(updated, uid) {
			t.Errorf("healed, and member %s is one of the update", uid)
		}
	}
}

// A server that is started anew within its container is seen by the run that the caller names.
func TestAMemberMayRunAnewInPlace(t *testing.T) {
	for name, c := range map[string]struct {
		restarts int
		lands    bool
	}{"each": {3, true}, "all but one": {2, false}} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.operated()
			var asked atomic.Bool
			b.api.Handle(http.MethodPatch, "/clusters/db", func(http.ResponseWriter, *http.Request) bool { asked.Store(true); return false })
			roll := parameter("8", short)
			roll.Run = func(_ context.Context, _ *Env, pod *corev1.Pod) (string, error) {
				if asked.Load() && int(pod.Name[3]-'0') < c.restarts {
					return "2", nil
				}
				return "1", nil
			}
			if c.lands {
				roll.Bound = time.Minute
			}
			if err := b.env.Perform(t.Context(), roll); (err == nil) != c.lands {
				t.Error(err)
			}
		})
	}
}

func TestOperatedUpdatesThatDoNotLand(t *testing.T) {
	unfinished := parameter("8", short)
	unfinished.Whole = func(*unstructured.Unstructured) (bool, string) { return false, "the operator is busy" }
	image := parameter("8", short)
	image.Digest = "sha256:2222"
	same := RollOperated{Operated: keeps, Patch: map[string]any{"spec": map[string]any{"instances": 3}}}
	for name, c := range map[string]struct {
		roll RollOperated
		want string
	}{
		"the operator is not done": {unfinished, ""},
		"another image runs":       {image, ""},
		"nothing is changed":       {same, "asks for this already"},
		"without members":          {RollOperated{Operated: Operated{keeps.Workload, keeps.Kind, "store=none", nil, nil}, Patch: same.Patch}, "has no Ready member"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			o := b.operated()
			b.play(o.step)
			refusedOrVain(t, b.env.Perform(t.Context(), c.roll), c.want)
			if got := b.tape.last(); got != history.Failed {
				t.Errorf("its last phase is %s", got)
			}
		})
	}
}

// What a merge patch changes comes back by another one, and nothing else.
func TestAPatchIsPutBack(t *testing.T) {
	was := map[string]any{"spec": map[string]any{"image": "a", "parameters": map[string]any{"work": "4", "other": "1"}}}
	patch := map[string]any{"spec": map[string]any{"image": "b", "fresh": "x", "parameters": map[string]any{"work": nil, "more": "2"}}}
	want := `{"spec":{"fresh":null,"image":"a","parameters":{"more":null,"work":"4"}}}`
	got, err := json.Marshal(inverse(patch, was))
	if err != nil || string(got) != want {
		t.Errorf("put back by %s, %v, want %s", got, err, want)
	}
}

func TestASwitchoverLandsWhenTheOtherLeads(t *testing.T) {
	b := newBench(t)
	o := b.operated()
	b.play(o.step)
	if err := b.env.Perform(t.Context(), o.switchover(time.Minute)); err != nil {
		t.Fatal(err)
	}
	to := b.api.Get("pods", "shop", "db-1").GetUID()
	if saw := b.tape.evidence(history.Landed); !strings.Contains(saw, "pod db-1, uid "+string(to)) || !strings.Contains(saw, "before pod db-0") {
		t.Errorf("evidence %q", saw)
	}
	b.heal()
}

func TestASwitchoverNeedsAnother(t *testing.T) {
	b := newBench(t)
	o := b.operated()
	for _, name := range []string{"db-1", "db-2"} {
		b.api.Put("pods", unready(b.api.Get("pods", "shop", name)))
	}
	says(t, b.env.Perform(t.Context(), o.switchover(short)), "has no other Ready member than its leader db-0")
}

// The leader is whoever leads when the moment has come.
func TestAPodIsChosenByItsRole(t *testing.T) {
	foreign := func(context.Context, *Env) (*corev1.Pod, error) {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "db-0", Namespace: "other"}}, nil
	}
	nobody := func(context.Context, *Env) (*corev1.Pod, error) { return nil, nil }
	b := newBench(t)
	o := b.operated()
	o.leads = "db-2"
	kill := KillPod{Namespace: "shop", Choose: o.leader, Role: "leader", How: ForceDeleted}
	if got := kill.Target(); got != "pod shop/leader" {
		t.Errorf("aimed at %s", got)
	}
	if err := b.env.Perform(t.Context(), kill); err != nil {
		t.Fatal(err)
	}
	if b.api.Get("pods", "shop", "db-2") != nil || b.api.Get("pods", "shop", "db-0") == nil {
		t.Error("the leader is there, or another one is gone")
	}
	for want, d := range map[string]Disturbance{
		"pod db-0 is of namespace other":         KillPod{Namespace: "shop", Choose: foreign, Role: "leader", How: Deleted},
		"there is none":                          Freeze{Namespace: "shop", Choose: nobody, Role: "leader", For: time.Second},
		"and either a pod or a selector, or how": KillPod{Namespace: "shop", Choose: nobody, Role: "leader", Pod: "a", How: Deleted},
		"needs a Role":                           KillPod{Namespace: "shop", Choose: nobody, How: Deleted},
		"only such a pod has one":                KillPod{Namespace: "shop", Pod: "db-0", Role: "leader", How: Deleted},
	} {
		says(t, b.env.Perform(t.Context(), d), want)
	}
}
