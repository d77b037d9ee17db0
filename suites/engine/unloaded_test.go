package engine

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/disrupt"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/observe/apitest"
	"bitvault.dev/rollproof/harness/run"
	"bitvault.dev/rollproof/harness/wait"
	"bitvault.dev/rollproof/reports"
)

// shop is a stack that nobody sends load to, on an API server of the tests.
type shop struct{ api *apitest.Server }

func (shop) Ready(context.Context, run.Cluster, run.Say) (run.Aim, error) {
	return run.Aim{Namespaces: []string{"shop"}}, nil
}

func (shop) Settle(context.Context, run.Cluster) error { return nil }

// site is the cluster of the shop.
type site struct {
	*testing.T
	shop
	broken string
	asked  bool
}

func (s *site) Ready(context.Context) (run.Cluster, error) {
	s.asked = true
	allowed := disrupt.GuardFunc(func(context.Context, string) error { return nil })
	return run.Cluster{Name: "shop", REST: s.api.Config(), Workers: 2, Guard: allowed}, nil
}

func (s *site) Break(by string) { s.broken = by }

// newSite is a cluster of two nodes. The first has two pods; each that is evicted is replaced on the second.
func newSite(t *testing.T) *site {
	s := &site{T: t, shop: shop{apitest.New()}}
	t.Cleanup(s.api.Close)
	for _, node := range []string{"n1", "n2"} {
		s.put("nodes", `{apiVersion: v1, kind: Node, metadata: {name: %s}, spec: {}, status: {conditions: [{type: Ready, status: "True"}]}}`, node)
	}
	s.kubelet()
	for _, pod := range []string{"a", "b"} {
		s.pod(pod, "n1")
		s.api.Handle(http.MethodPost, "/"+pod+"/eviction", func(http.ResponseWriter, *http.Request) bool {
			s.pod(pod+"-again", "n2")
			return false
		})
	}
	return s
}

// kubelet removes pods that are to end, until the test ends.
func (s *site) kubelet() {
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() {
		for wait.Pause(ctx, time.Millisecond) == nil {
			for _, pod := range s.api.All("pods") {
				if pod.GetDeletionTimestamp() != nil {
					s.api.Delete("pods", pod.GetNamespace(), pod.GetName())
				}
			}
		}
	})
	s.Cleanup(func() { cancel(); ended.Wait() })
}

func (s *site) pod(name, node string) {
	s.put("pods", `{apiVersion: v1, kind: Pod,
  metadata: {name: %s, namespace: shop, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: rs, uid: rs-uid, controller: true}]},
  spec: {nodeName: %s, containers: [{name: app}]},
  status: {phase: Running, conditions: [{type: Ready, status: "True"}], containerStatuses: [{name: app, state: {running: {}}}]}}`, name, node)
}

func (s *site) put(resource, object string, args ...any) {
	var content map[string]any
	if err := yaml.Unmarshal(fmt.Appendf(nil, object, args...), &content); err != nil {
		s.Errorf("an object of the test: %v", err)
	}
	s.api.Put(resource, content)
}

const noDeadlock = "mechanics.pdb-no-deadlock"

// drained drains a node on which no load looks.
func (s *site) drained() run.Scenario {
	drain := disrupt.Drain{Node: "n1", Retry: 10 * time.Millisecond, Budget: time.Minute}
	return run.Scenario{Name: "unit/without-load", Proves: "a drain ends", Stack: s.shop, Acts: []run.Act{run.Disturb{Disturbance: drain}}, Checks: []string{noDeadlock}}
}

// tooLong is the same where no drain may take any time.
func (s *site) tooLong() run.Scenario {
	scenario := s.drained()
	scenario.Budgets = func(b *checks.Budgets) { b.Drain = time.Nanosecond }
	return scenario
}

// told is what is known of a drain without any cluster: from a file, say.
type told struct{ refused bool }

func (told) String() string                      { return "a drain is told" }
func (told) Lasts() time.Duration                { return 0 }
func (told) Disturbances() []disrupt.Disturbance { return nil }

func (a told) Do(_ context.Context, s *run.Stage) error {
	answer := history.Eviction{Disturbance: "drain-1", Namespace: "shop", Pod: "a", Code: http.StatusCreated}
	last := history.Disturbance{ID: "drain-1", Name: "drain", Phase: history.Landed, Evidence: []history.Evidence{{What: "node n1", Saw: "empty"}}}
	if a.refused {
		answer.Code, answer.Cause = http.StatusTooManyRequests, "DisruptionBudget"
		last.Phase = history.Failed
	}
	for _, e := range []history.Event{
		{Kind: history.KindDisturbance, Disturbance: &history.Disturbance{ID: "drain-1", Name: "drain", Phase: history.Began}},
		{Kind: history.KindEviction, Eviction: &answer},
		{Kind: history.KindDisturbance, Disturbance: &last},
	} {
		if err := s.Record.Append(e); err != nil {
			return err
		}
	}
	return nil
}

// A scenario without load, and one without a cluster as well, runs from its first act to its verdict and its reports; and its green is worth
// something: with a fault planted it is red. Nobody asks for a cluster that is not needed, nor says that it is broken.
func TestScenariosWithoutLoadAndWithoutACluster(t *testing.T) {
	for name, c := range map[string]struct {
		scenario func(*site) run.Scenario
		cluster  bool
		want     judge.Verdict
	}{
		"without load":                         {(*site).drained, true, judge.Pass},
		"without load, a drain that lasts":     {(*site).tooLong, true, judge.Fail},
		"without cluster":                      {func(*site) run.Scenario { return offline(told{}) }, false, judge.Pass},
		"without cluster, a drain never ended": {func(*site) run.Scenario { return offline(told{refused: true}) }, false, judge.Fail},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			var shown bytes.Buffer
			var page, junit []byte
			performer := run.Performer{
				Site: s, Runner: run.Runner{Out: t.TempDir(), Say: t.Logf},
				Report: func(ctx context.Context, o run.Outcome) error {
					paths, err := reports.Show(ctx, &shown, o.History, o.Result, reports.TerminalOptions{Dir: o.Dir})
					if err != nil {
						return err
					}
					if page, err = os.ReadFile(paths.HTML); err == nil {
						junit, err = os.ReadFile(paths.JUnit)
					}
					return err
				},
			}
			performed, err := performer.Perform(t.Context(), c.scenario(s))
			if err != nil || len(performed) != 1 {
				t.Fatalf("error %v, performed %+v", err, performed)
			}
			p := promise(t, performed[0].Result, noDeadlock)
			if p.Verdict != c.want || performed[0].Result.Verdict != c.want {
				t.Errorf("verdict %s, %s is %s (%s), want %s; error %v\n%s", performed[0].Result.Verdict, p.Slug, p.Verdict, p.Reason, c.want, performed[0].Err, &shown)
			}
			if s.asked != c.cluster || s.broken != "" && !c.cluster {
				t.Errorf("the site was asked: %v; it is said to be broken by %q", s.asked, s.broken)
			}
			for _, slug := range []string{"load.held", "load.zero-dropped"} {
				if p := promise(t, performed[0].Result, slug); p.Verdict != judge.Skipped {
					t.Errorf("%s is %s: %s", slug, p.Verdict, p.Reason)
				}
			}
			if healed := promise(t, performed[0].Result, "stack.healed"); (healed.Verdict == judge.Skipped) == c.cluster {
				t.Errorf("%s is %s: %s", healed.Slug, healed.Verdict, healed.Reason)
			}
			for what, text := range map[string]string{"terminal": shown.String(), "page": string(page), "JUnit": string(junit)} {
				for _, of := range []string{"No request", "no request was", "http_req", "h-load", "<dt>requests", "<dt>rate"} {
					if text := visible(text); strings.Contains(text, of) {
						at := strings.Index(text, of)
						t.Errorf("the %s speaks of load, of which there was none: …%s…", what, text[max(0, at-100):min(at+100, len(text))])
					}
				}
			}
			if err := xml.Unmarshal(junit, new(struct{})); err != nil {
				t.Errorf("JUnit: %v", err)
			}
		})
	}
}

// visible is a page without its scripts and styles.
func visible(text string) string {
	for _, element := range []string{"script", "style"} {
		for {
			before, rest, found := strings.Cut(text, "<"+element)
			if !found {
				break
			}
			_, after, _ := strings.Cut(rest, "</"+element+">")
			text = before + after
		}
	}
	return text
}

// offline is a scenario without a cluster.
func offline(act run.Act) run.Scenario {
	return run.Scenario{Name: "unit/without-cluster", Proves: "a drain ended", NoCluster: true, Acts: []run.Act{act}, Checks: []string{noDeadlock}}
}
