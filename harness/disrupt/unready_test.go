package disrupt

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// turning is a node, and a pod on it whose readiness signals switch.
type turning struct {
	mu  sync.Mutex
	off bool
	log []string
}

func (s *turning) NodeExec(_ context.Context, _ string, cmd ...string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cmd[0] == "kill" {
		s.off = cmd[1] == "-USR1"
		s.log = append(s.log, cmd[1])
	}
	return []byte("4711"), nil
}

func (s *turning) isOff() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.off
}

// unreadyBench is a cluster with one pod; its kubelet probes it, or does not.
func unreadyBench(t *testing.T, s *turning, probed bool) *bench {
	b := newBench(t)
	b.replicaSet(1)
	b.put("pods", podYAML, "a", "ReplicaSet")
	b.env.Nodes = s
	b.api.Handle(http.MethodGet, "/proxy/readyz", func(w http.ResponseWriter, _ *http.Request) bool {
		if s.isOff() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return true
	})
	if probed {
		was := false
		b.play(func() {
			if off := s.isOff(); off != was {
				if was = off; off {
					b.api.Put("pods", unready(b.api.Get("pods", "shop", "a")))
				} else {
					b.put("pods", podYAML, "a", "ReplicaSet")
				}
			}
		})
	}
	return b
}

var lose = Unready{Workload: history.Workload{Namespace: "shop", Kind: "Rollout", Name: "app"}, Selector: "app=vault",
	Off: "-USR1", On: "-USR2", Port: 8080, Path: "/readyz", For: time.Millisecond, Notice: time.Minute}

func TestReadinessIsLostAndRegained(t *testing.T) {
	s := &turning{}
	b := unreadyBench(t, s, true)
	if err := b.env.Perform(t.Context(), lose); err != nil {
		t.Fatal(err)
	}
	saw := b.tape.evidence(history.Landed)
	for _, want := range []string{"/readyz answers 503", "Ready false, 0 restarts", "/readyz answers 200", "Ready true, 0 restarts"} {
		if !strings.Contains(saw, want) {
			t.Errorf("the evidence lacks %q: %s", want, saw)
		}
	}
	b.heal()
	if got := strings.Join(s.log, " "); got != "-USR1 -USR2 -USR2" {
		t.Errorf("signals %s", got)
	}
}

// Without a probe nobody takes notice. It has landed all the same: the pod says so itself, and a judge weighs the rest.
func TestUnnoticedUnreadiness(t *testing.T) {
	b := unreadyBench(t, &turning{}, false)
	unnoticed := lose
	unnoticed.Notice = 50 * time.Millisecond
	if err := b.env.Perform(t.Context(), unnoticed); err != nil {
		t.Fatal(err)
	}
	if saw := b.tape.evidence(history.Landed); !strings.Contains(saw, "/readyz answers 503\npod a: uid") || strings.Contains(saw, "Ready false") {
		t.Errorf("evidence %q", saw)
	}
}

func TestUnreadinessOfAPodThatDoesNotLiveOn(t *testing.T) {
	s := &turning{}
	b := unreadyBench(t, s, false)
	b.play(func() {
		if s.isOff() {
			b.put("pods", strings.Replace(podYAML, "imageID: i", "imageID: i, restartCount: 1", 1), "a", "ReplicaSet")
		}
	})
	says(t, b.env.Perform(t.Context(), lose), "did not live on")
	if got := b.tape.phases(); got != "readiness-lost-1 began, readiness-lost-1 failed" {
		t.Errorf("phases %q", got)
	}
}
