package disrupt

import (
	"context"
	"fmt"
	"hash/fnv"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/kube"
	"bitvault.dev/rollproof/harness/observe/apitest"
)

const digest = "registry/vault@sha256:0123"

// controller plays what a controller of Rollouts or Deployments does: a ReplicaSet for each template, numbered, and a pod of it.
type controller struct {
	*bench
	kind, resource, revision, hashLabel string
	idle                                bool   // it does nothing more
	waiting                             string // pods wait for this reason
	image                               string // what pods run, instead of what the template says
	version                             string // what ReplicaSets say, instead of what the template says
}

func (b *bench) workload(kind string) *controller {
	c := &controller{bench: b, kind: kind, resource: "rollouts", revision: "rollout.argoproj.io/revision", hashLabel: "rollouts-pod-template-hash"}
	api := "argoproj.io/v1alpha1"
	if kind == "Deployment" {
		c.resource, c.revision, c.hashLabel, api = "deployments", "deployment.kubernetes.io/revision", "pod-template-hash", "apps/v1"
	}
	b.put(c.resource, `
apiVersion: %s
kind: %s
metadata: {name: vault, namespace: shop, uid: vault-uid}
spec: {template: {metadata: {labels: {app: vault, app.kubernetes.io/version: v1}},
  spec: {containers: [{name: app, image: "registry/vault@sha256:9999", args: [-version=v1, -entries=5, -verbose]}, {name: side}]}}}`, api, kind)
	c.step()
	return c
}

func (c *controller) step() {
	if c.idle {
		return
	}
	u := c.api.Get(c.resource, "shop", "vault")
	template, _, _ := unstructured.NestedMap(u.Object, "spec", "template")
	sum := fnv.New32()
	fmt.Fprint(sum, template)
	hash := fmt.Sprintf("%x", sum.Sum32())
	if c.kind == "Rollout" {
		c.says("currentPodHash", hash)
	}
	set := c.api.Get("replicasets", "shop", "vault-"+hash)
	number := 0
	for _, other := range c.sets() {
		if n := 0; other.GetName() != "vault-"+hash {
			if _, err := fmt.Sscan(other.GetAnnotations()[c.revision], &n); err == nil {
				number = max(number, n)
			}
		}
	}
	now := 0
	if set != nil {
		if _, err := fmt.Sscan(set.GetAnnotations()[c.revision], &now); err == nil && now > number {
			return
		}
	}
	version := template["metadata"].(map[string]any)["labels"].(map[string]any)[kube.VersionLabel]
	if c.version != "" {
		version = c.version
	}
	container := template["spec"].(map[string]any)["containers"].([]any)[0].(map[string]any)
	c.put("replicasets", `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: vault-%[1]s, namespace: shop, uid: "set-%[1]s", labels: {%[2]s: "%[1]s"}, annotations: {%[3]s: "%[4]d"},
  ownerReferences: [{apiVersion: v1, kind: %[5]s, name: vault, uid: vault-uid, controller: true}]}
spec: {template: {metadata: {labels: {app.kubernetes.io/version: %[6]s}}}}`, hash, c.hashLabel, c.revision, number+1, c.kind, version)
	image := container["image"]
	if c.image != "" {
		image = c.image
	}
	status := fmt.Sprintf(`{name: app, containerID: "containerd://c", imageID: "%s"}`, image)
	if c.waiting != "" {
		status = fmt.Sprintf(`{name: app, state: {waiting: {reason: %s}}}`, c.waiting)
	}
	c.put("pods", `
apiVersion: v1
kind: Pod
metadata: {name: vault-%[1]s-x, namespace: shop, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: rs, uid: "set-%[1]s", controller: true}]}
spec: {containers: [{name: app}]}
status: {phase: Running, containerStatuses: [%[2]s]}`, hash, status)
}

func (c *controller) sets() []*unstructured.Unstructured { return c.api.All("replicasets") }

func (c *controller) args() string {
	u := c.api.Get(c.resource, "shop", "vault")
	containers, _, _ := unstructured.NestedSlice(u.Object, "spec", "template", "spec", "containers")
	first := containers[0].(map[string]any)
	return fmt.Sprint(first["image"], first["args"])
}

func TestAReleaseLandsAndIsUndone(t *testing.T) {
	for _, kind := range []string{"Rollout", "Deployment"} {
		t.Run(kind, func(t *testing.T) {
			b := newBench(t)
			c := b.workload(kind)
			first := c.sets()[0].GetLabels()[c.hashLabel]
			b.play(c.step)
			r := Release{Namespace: "shop", Kind: kind, Workload: "vault", Version: "v2", Image: digest, Args: []string{"-version=v2", "--new=1"}, Revert: true}
			if err := b.env.Perform(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			if got, want := c.args(), digest+"[-version=v2 -entries=5 -verbose --new=1]"; got != want {
				t.Errorf("the workload has %s, want %s", got, want)
			}
			saw := b.tape.evidence(history.Landed)
			if !strings.Contains(saw, "before "+first) || !strings.Contains(saw, `image "`+digest+`"`) {
				t.Errorf("evidence %q", saw)
			}
			if e := b.tape.events[0].Disturbance; e.Injects != "" || e.Name != "release" || e.Target != strings.ToLower(kind)+" shop/vault to v2" {
				t.Errorf("began as %+v", e)
			}
			b.heal()
			if got := c.args(); got != "registry/vault@sha256:9999[-version=v1 -entries=5 -verbose]" {
				t.Errorf("healed, the workload has %s", got)
			}
			if saw := b.tape.evidence(history.Healed); !strings.Contains(saw, first) {
				t.Errorf("healed: %q", saw)
			}
		})
	}
}

func TestARegressionSaysWhatItInjects(t *testing.T) {
	b := newBench(t)
	c := b.workload("Rollout")
	b.play(c.step)
	errors := history.Fault{Status: 500}
	r := Release{Namespace: "shop", Workload: "vault", Version: "v2-errors", Args: []string{"-version=v2-errors", "-error-ratio=0.2"}}
	if err := b.env.Perform(t.Context(), Regression{Release: r, Fault: errors}); err != nil {
		t.Fatal(err)
	}
	for _, e := range b.tape.events {
		if e.Disturbance.Name != "regression" || e.Disturbance.Injects != "v2-errors" || e.Disturbance.Fault != errors {
			t.Errorf("recorded %+v", e.Disturbance)
		}
		if want := (history.Workload{Namespace: "shop", Kind: "Rollout", Name: "vault"}); e.Disturbance.Workload != want {
			t.Errorf("recorded of workload %+v, want %+v", e.Disturbance.Workload, want)
		}
	}
	landed := b.tape.events[len(b.tape.events)-1].Disturbance
	for _, set := range c.sets() {
		version, _, _ := unstructured.NestedString(set.Object, "spec", "template", "metadata", "labels", kube.VersionLabel)
		if isNew := version == "v2-errors"; isNew != (set.GetLabels()[c.hashLabel] == landed.Hash) {
			t.Errorf("landed with hash %q; ReplicaSet %s of version %q has %q", landed.Hash, set.GetName(), version, set.GetLabels()[c.hashLabel])
		}
	}
}

// released is a Rollout whose first version is the stable one, with a release of another that has landed.
func released(t *testing.T, d Disturbance) *controller {
	b := newBench(t)
	c := b.workload("Rollout")
	c.stable(c.sets()[0].GetLabels()[c.hashLabel])
	b.play(c.step)
	if err := b.env.Perform(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	return c
}

// A release that became the stable one stays; one that did not is taken back, though nobody asked for it: left behind half-way it would
// be aborted when the load ends, and the next run would find the Rollout Degraded.
func TestOnlyAPromotedReleaseStays(t *testing.T) {
	for name, promoted := range map[string]bool{"promoted": true, "not promoted": false} {
		t.Run(name, func(t *testing.T) {
			c := released(t, Release{Namespace: "shop", Workload: "vault", Version: "v2", Args: []string{"-version=v2"}})
			want, saw := "-version=v1", "is the current one again"
			if promoted {
				c.stable("another")
				want, saw = "-version=v2", "stays: pod template hash another is the stable one"
			}
			c.heal()
			if got := c.args(); !strings.Contains(got, want) {
				t.Errorf("healed, the workload has %s, want %s", got, want)
			}
			if got := c.tape.evidence(history.Healed); !strings.Contains(got, saw) {
				t.Errorf("healed: %q, want %q", got, saw)
			}
		})
	}
}

// stable makes the controller call a pod template hash the stable one.
func (c *controller) stable(hash string) { c.says("stableRS", hash) }

// says writes a field of the status, and leaves everything else as somebody may just be changing it.
func (c *controller) says(field, value string) {
	patch := fmt.Appendf(nil, `{"status":{%q:%q}}`, field, value)
	_, err := c.env.Dynamic.Resource(workloads[c.kind].resource).Namespace("shop").Patch(context.Background(), "vault", types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		c.Error(err)
	}
}

// A bad release that was promoted is not to answer for as long as a canary takes; one that was not is gone with its template.
func TestOnlyAPromotedReleaseIsTakenBackInFull(t *testing.T) {
	for name, promoted := range map[string]bool{"promoted": true, "not promoted": false} {
		t.Run(name, func(t *testing.T) {
			c := released(t, Regression{
				Release: Release{Namespace: "shop", Workload: "vault", Version: "v2", Args: []string{"-version=v2", "-error-ratio=1"}, Revert: true},
				Fault:   history.Fault{Status: 500},
			})
			if promoted {
				c.stable("another")
			}
			c.heal()
			got, _, _ := unstructured.NestedBool(c.api.Get("rollouts", "shop", "vault").Object, "status", "promoteFull")
			if got != promoted {
				t.Errorf("promoted in full: %v, want %v", got, promoted)
			}
			if saw := c.tape.evidence(history.Healed); strings.Contains(saw, "promoted in full") != promoted {
				t.Errorf("healed: %q", saw)
			}
		})
	}
}

func TestReleasesThatDoNotLand(t *testing.T) {
	good := Release{Namespace: "shop", Workload: "vault", Version: "v2", Args: []string{"-version=v2"}, Bound: 300 * time.Millisecond}
	with := func(change func(*Release)) Release { r := good; change(&r); return r }
	cases := map[string]struct {
		release Release
		spoil   func(*controller)
		want    string
	}{
		"no controller":      {good, func(c *controller) { c.idle = true }, "wait for the ReplicaSet of the release: not within 300 ms: saw last: pod template hash"},
		"no pod starts":      {good, func(c *controller) { c.waiting = "ImagePullBackOff" }, "waiting: ImagePullBackOff"},
		"another image runs": {with(func(r *Release) { r.Image = digest }), func(c *controller) { c.image = "registry/vault@sha256:9999" }, `image "registry/vault@sha256:9999"`},
		"another release":    {good, func(c *controller) { c.version = "v7" }, `is of version "v7", want v2: somebody else releases too`},
		"nothing new":        {with(func(r *Release) { r.Version, r.Args = "v1", nil }), nil, "has this template already"},
		"told otherwise":     {with(func(r *Release) { r.Args = nil }), nil, "the container is told -version=v1, but this is version v2"},
		"no container":       {with(func(r *Release) { r.Container = "none" }), nil, "has no container none"},
		"no workload":        {with(func(r *Release) { r.Workload = "none" }), nil, "get Rollout none"},
		"no argument":        {with(func(r *Release) { r.Args = []string{"version"} }), nil, "want -name or -name=value"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			ctl := b.workload("Rollout")
			if c.spoil != nil {
				c.spoil(ctl)
			}
			b.play(ctl.step)
			says(t, b.env.Perform(t.Context(), c.release), c.want)
			if got := b.tape.phases(); got != "release-1 began, release-1 failed" {
				t.Errorf("phases %q", got)
			}
		})
	}
}

// A controller that writes its status all the time gets in first more often than the four times client-go's retry has for it.
func TestAnUpdateOutlivesConflicts(t *testing.T) {
	for name, c := range map[string]struct {
		conflicts int
		want      string
	}{"eight": {8, ""}, "without end": {1 << 30, "wait for an update of Rollout vault that nobody forestalls: context deadline exceeded: saw last: update Rollout vault: somebody was faster"}} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.play(b.workload("Rollout").step)
			var tries atomic.Int64
			b.api.Handle(http.MethodPut, "/rollouts/vault", func(w http.ResponseWriter, _ *http.Request) bool {
				refuse := tries.Add(1) <= int64(c.conflicts)
				if refuse {
					apitest.Refuse(w, http.StatusConflict, metav1.StatusReasonConflict, "somebody was faster", nil)
				}
				return refuse
			})
			ctx := t.Context()
			if c.want != "" {
				short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
				defer cancel()
				ctx = short
			}
			err := b.env.Perform(ctx, Release{Namespace: "shop", Workload: "vault", Version: "v2", Args: []string{"-version=v2"}})
			if c.want != "" {
				says(t, err, c.want)
			} else if err != nil {
				t.Error(err)
			}
			if got := tries.Load(); got < 5 {
				t.Errorf("%d tries", got)
			}
		})
	}
}

func TestArguments(t *testing.T) {
	cases := []struct {
		args, set, want []string
		err             string
	}{
		{nil, []string{"-a=1"}, []string{"-a=1"}, ""},
		{[]string{"-a=1", "--b", "-c=3"}, []string{"--a=2", "-b=4"}, []string{"--a=2", "-b=4", "-c=3"}, ""},
		{[]string{"run", "-a"}, []string{"-a"}, []string{"run", "-a"}, ""},
		{[]string{"-a", "1"}, []string{"-a=2"}, nil, "write -a=1 in the workload"},
	}
	for _, c := range cases {
		got, err := setArgs(c.args, c.set)
		if c.err != "" {
			says(t, err, c.err)
		} else if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q with %q gives %q, %v, want %q", c.args, c.set, got, err, c.want)
		}
	}
}
