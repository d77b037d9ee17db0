package disrupt

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"bitvault.dev/rollproof/harness/history"
)

// scaled is a workload with pods, and what plays its controller.
type scaled struct {
	*bench
	made     int
	replaces bool // whoever goes
	idle     bool
}

func scaleBench(t *testing.T, kind string, pods int) *scaled {
	return scaledOn(newBench(t), kind, pods)
}

func fourPods(b *bench, kind string) *scaled { return scaledOn(b, kind, 4) }

// scaledOn puts a workload with pods into a cluster, and a pod of nobody's beside them.
func scaledOn(bench *bench, kind string, pods int) *scaled {
	s := &scaled{bench: bench}
	api := map[string]string{"Rollout": "argoproj.io/v1alpha1", "Deployment": "apps/v1"}[kind]
	s.put(workloads[kind].resource.Resource, "{apiVersion: %s, kind: %s, metadata: {name: vault, namespace: shop, uid: vault-uid}, spec: {replicas: %d}}", api, kind, pods)
	s.put("replicasets", `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: rs, namespace: shop, uid: rs-uid, ownerReferences: [{apiVersion: v1, kind: %s, name: vault, uid: vault-uid, controller: true}]}`, kind)
	s.put("pods", podYAML, "bystander", "StatefulSet")
	b := s.api.Get("pods", "shop", "bystander")
	b.SetOwnerReferences(nil)
	s.api.Put("pods", b.Object)
	for range pods {
		s.more()
	}
	return s
}

func (s *scaled) more() {
	s.made++
	s.put("pods", podYAML, fmt.Sprintf("p%d", s.made), "ReplicaSet")
}

// control has the workload have as many pods as it wants; kind is the workload's.
func (s *scaled) control(kind string) {
	s.play(func() {
		if s.idle {
			return
		}
		want := s.wanted(kind)
		var pods []string
		for _, pod := range s.api.All("pods") {
			if len(pod.GetOwnerReferences()) > 0 {
				pods = append(pods, pod.GetName())
			}
		}
		switch {
		case len(pods) > want:
			if s.replaces { // first, so that there are never just the old ones that were wanted
				s.more()
				s.api.Delete("pods", "shop", pods[1])
			}
			s.api.Delete("pods", "shop", pods[0])
		case len(pods) < want:
			s.more()
		}
	})
}

// wanted is how many pods the workload wants now.
func (s *scaled) wanted(kind string) int {
	u := s.api.Get(workloads[kind].resource.Resource, "shop", "vault")
	want, _, err := unstructured.NestedFieldNoCopy(u.Object, "spec", "replicas")
	n, err2 := strconv.Atoi(fmt.Sprint(want))
	if err != nil || err2 != nil {
		panic(fmt.Sprint(want, err, err2))
	}
	return n
}

func (s *scaled) in(kind string, to int, bound time.Duration) ScaleIn {
	return ScaleIn{Workload: history.Workload{Namespace: "shop", Kind: kind, Name: "vault"}, To: to, Bound: bound}
}

func TestScalingIn(t *testing.T) {
	for _, kind := range []string{"Rollout", "Deployment"} {
		t.Run(kind, func(t *testing.T) {
			s := scaleBench(t, kind, 4)
			s.control(kind)
			if err := s.env.Perform(t.Context(), s.in(kind, 2, time.Minute)); err != nil {
				t.Fatal(err)
			}
			if saw := s.tape.evidence(history.Landed); strings.Count(saw, "is gone") != 2 || strings.Contains(saw, "bystander") {
				t.Errorf("evidence %q, want two of its own pods", saw)
			}
			s.heal()
			if saw := s.tape.evidence(history.Healed); !strings.Contains(saw, "4 of 4 pods Ready") {
				t.Errorf("healed: %q", saw)
			}
		})
	}
}

func TestScaleInsThatDoNotLand(t *testing.T) {
	for name, c := range map[string]struct {
		pods, to int
		idle     bool
		replaces bool
		want     string
	}{
		"nobody does it":           {4, 2, true, false, "4 pods, before 4, wanted 2"},
		"there are no more":        {2, 2, false, false, "there is nothing to scale in"},
		"less than none":           {2, -1, false, false, "want 0 or more"},
		"replaced, not taken away": {4, 2, false, true, "pods were replaced"},
	} {
		t.Run(name, func(t *testing.T) {
			s := scaleBench(t, "Rollout", c.pods)
			s.idle, s.replaces = c.idle, c.replaces
			s.control("Rollout")
			bound := time.Minute
			if c.idle {
				bound = 50 * time.Millisecond
			}
			says(t, s.env.Perform(t.Context(), s.in("Rollout", c.to, bound)), c.want)
			if strings.Contains(s.tape.phases(), "landed") {
				t.Errorf("phases %q", s.tape.phases())
			}
			if c.idle {
				return // nobody would bring them back either
			}
			s.heal()
			if now := s.wanted("Rollout"); now != c.pods {
				t.Errorf("%d replicas are wanted after healing, before %d", now, c.pods)
			}
		})
	}
}
