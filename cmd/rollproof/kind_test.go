//go:build kind

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	autoscaling "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"bitvault.dev/rollproof/fixtures/stack/bitvaultd"
	"bitvault.dev/rollproof/fixtures/stack/prometheus"
	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

// bench is the real command, and a cluster of its own that it runs scenarios on.
type bench struct{ binary, name, out string }

const (
	soon     = time.Minute     // for what takes seconds on a quiet machine
	eventual = 5 * time.Minute // for what takes a minute or two
)

// TestAcceptance is what a user sees when a run does not go to plan: interrupted, crowded, or with its cluster broken under it. It needs
// the images (`make images`) and the host ports of kind-config.yaml.
func TestAcceptance(t *testing.T) {
	s := &bench{binary: filepath.Join(t.TempDir(), "rollproof"), name: "acceptance", out: t.TempDir()}
	if out, err := exec.Command("go", "build", "-o", s.binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v %s", err, out)
	}
	t.Cleanup(func() { s.start(t, "cluster", "down", "--name", s.name).ends(t, exitPass, eventual) })
	t.Run("Ctrl-C while the cluster is made", s.interruptedWhileMade)
	s.start(t, "cluster", "up", "--name", s.name).ends(t, exitPass, eventual)
	t.Run("Ctrl-C in every phase of a run", s.interruptedInEveryPhase)
	t.Run("two runs at once", s.twoRuns)
	t.Run("Prometheus goes down under a release", s.prometheusDown)
	t.Run("the cluster is deleted in the middle", s.clusterDeleted)
}

// process is the command while it runs.
type process struct {
	cmd   *exec.Cmd
	began time.Time
	ended chan struct{}

	mu   sync.Mutex
	text strings.Builder
	more chan struct{} // closed and replaced with every line
}

// start runs the command. It ends with the test at the latest.
func (s *bench) start(t *testing.T, args ...string) *process {
	t.Helper()
	t.Logf("rollproof %s", strings.Join(args, " "))
	p := &process{cmd: exec.Command(s.binary, args...), began: time.Now(), ended: make(chan struct{}), more: make(chan struct{})}
	p.cmd.Dir = "../.."
	lines, w := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = w, w
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for in := bufio.NewScanner(lines); in.Scan(); {
			p.add(in.Text())
		}
	}()
	go func() {
		_ = p.cmd.Wait() // the exit code is read from the process's state
		w.Close()
		<-read
		close(p.ended)
	}()
	t.Cleanup(func() {
		select {
		case <-p.ended:
		default:
			_ = p.cmd.Process.Kill() // a test that failed has left it
			<-p.ended
		}
	})
	return p
}

func (s *bench) run(t *testing.T, scenarios ...string) *process {
	t.Helper()
	return s.start(t, append([]string{"run", "--name", s.name, "--out", s.out, "--keep"}, scenarios...)...)
}

func (p *process) add(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text.WriteString(line + "\n")
	close(p.more)
	p.more = make(chan struct{})
}

func (p *process) output() (string, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String(), p.more
}

// says waits until the command has printed a text.
func (p *process) says(t *testing.T, text string, bound time.Duration) {
	t.Helper()
	late := time.NewTimer(bound)
	defer late.Stop()
	for {
		out, more := p.output()
		if strings.Contains(out, text) {
			return
		}
		select {
		case <-more:
		case <-p.ended:
			t.Fatalf("it ended without saying %q:\n%s", text, out)
		case <-late.C:
			t.Fatalf("it did not say %q within %v:\n%s", text, bound, out)
		}
	}
}

func (p *process) interrupt(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
}

// ends waits for the end of the command and returns what it printed.
func (p *process) ends(t *testing.T, code int, bound time.Duration) string {
	t.Helper()
	late := time.NewTimer(bound)
	defer late.Stop()
	select {
	case <-p.ended:
	case <-late.C:
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // its goroutines are what one wants to see
		<-p.ended
		out, _ := p.output()
		t.Fatalf("it had not ended after %v:\n%s", bound, out)
	}
	out, _ := p.output()
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("exit code %d, want %d:\n%s", got, code, out)
	}
	t.Logf("it ended after %v", time.Since(p.began).Round(100*time.Millisecond))
	return out
}

// client reaches the cluster by the kubeconfig that the command tells of.
func (s *bench) client(t *testing.T) (kubernetes.Interface, dynamic.Interface) {
	t.Helper()
	raw, err := exec.Command(s.binary, "cluster", "status", "--name", s.name, "--output", "json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var status struct{ Kubeconfig string }
	if err := json.Unmarshal(raw, &status); err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", status.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	return kubernetes.NewForConfigOrDie(config), dynamic.NewForConfigOrDie(config)
}

// healed fails when something that a run does to the cluster is still done.
func (s *bench) healed(t *testing.T) {
	t.Helper()
	kube, dyn := s.client(t)
	nodes, err := kube.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range nodes.Items {
		if node.Spec.Unschedulable {
			t.Errorf("node %s is left cordoned", node.Name)
		}
	}
	rollouts := schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "rollouts"}
	rollout, err := dyn.Resource(rollouts).Namespace(bitvaultd.Namespace).Get(t.Context(), bitvaultd.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprint(rollout.Object["spec"]); strings.Contains(text, "-error-ratio") {
		t.Errorf("a bad release is left on the cluster: %s", text)
	}
}

// record reads the newest record below out, and judges it as it lies there.
func (s *bench) record(t *testing.T) (*history.History, judge.Result) {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(s.out, "*-*"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no record below %s: %v", s.out, err)
	}
	h, err := history.Open(dirs[len(dirs)-1]) // the names begin with the time
	if err != nil {
		t.Fatal(err)
	}
	result, err := checks.Recorded(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	return h, result
}

func (s *bench) interruptedWhileMade(t *testing.T) {
	for _, phase := range []string{"nodes", "publish probe image"} {
		p := s.run(t, "canary/promotes-good")
		p.says(t, "  "+phase, 2*time.Minute)
		p.interrupt(t)
		if out := p.ends(t, exitCouldNotRun, soon); !strings.Contains(out, "everything that was made is removed again") {
			t.Errorf("interrupted at %q it did not say what became of the cluster:\n%s", phase, out)
		}
		left, err := exec.CommandContext(t.Context(), "docker", "ps", "--all", "--quiet", "--filter", "label=io.x-k8s.kind.cluster="+s.name).Output()
		if err != nil || len(left) > 0 {
			t.Errorf("interrupted at %q it left containers: %s %v", phase, left, err)
		}
	}
}

func (s *bench) interruptedInEveryPhase(t *testing.T) {
	phases := []struct{ scenario, said string }{
		{"mechanics/pdb", "installing the stack"},
		{"mechanics/pdb", "starting to observe"},
		{"mechanics/pdb", "before the first act"},
		{"mechanics/pdb", "failed  drain: the worker"}, // a status line of some seconds later: pods are being evicted
		{"mechanics/pdb", "  healing\n"},
		{"mechanics/pdb", "after healing"},
		{"canary/aborts-on-errors", "waiting for v2 to be promoted"},
	}
	for _, phase := range phases {
		t.Run(strings.TrimSpace(phase.said), func(t *testing.T) {
			p := s.run(t, phase.scenario, "mechanics/pdb-no-deadlock")
			p.says(t, phase.said, 3*time.Minute)
			p.interrupt(t)
			out := p.ends(t, exitCouldNotRun, 3*time.Minute)
			if !strings.Contains(out, "rollproof: interrupt signal received: ") {
				t.Errorf("it does not say that it was interrupted:\n%s", out)
			}
			if phase.said == "installing the stack" {
				return // nothing was done and nothing recorded yet
			}
			if !regexp.MustCompile(`(?m)^not begun +mechanics/pdb-no-deadlock`).MatchString(out) {
				t.Errorf("it does not say what it never began:\n%s", out)
			}
			s.healed(t)
			h, result := s.record(t)
			if h.Run().Scenario != phase.scenario || result.Verdict != judge.Inconclusive {
				t.Errorf("the record of %s is judged %s, want that of %s inconclusive", h.Run().Scenario, result.Verdict, phase.scenario)
			}
		})
	}
	// What interrupts left must not be in the way of anything.
	s.run(t, "mechanics/readiness").ends(t, exitPass, eventual)
}

func (s *bench) twoRuns(t *testing.T) {
	first := s.run(t, "mechanics/readiness")
	first.says(t, "before the first act", 2*time.Minute)
	second := s.run(t, "mechanics/readiness").ends(t, exitCouldNotRun, soon)
	if !strings.Contains(second, "is held by rollproof run (process ") || strings.Count(second, "\n") != 1 {
		t.Errorf("the second run said\n%s", second)
	}
	first.ends(t, exitPass, eventual)
}

func (s *bench) prometheusDown(t *testing.T) {
	p := s.run(t, "canary/promotes-good")
	p.says(t, "waiting for v2 to be promoted", 3*time.Minute)
	kube, _ := s.client(t)
	none := &autoscaling.Scale{ObjectMeta: metav1.ObjectMeta{Name: prometheus.Name, Namespace: prometheus.Namespace}}
	if _, err := kube.AppsV1().Deployments(prometheus.Namespace).UpdateScale(t.Context(), prometheus.Name, none, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	out := p.ends(t, exitBroken, eventual)
	for _, want := range []string{"canary.promotes-good", "error"} {
		if !strings.Contains(strings.ToLower(out), want) {
			t.Errorf("without Prometheus it does not say %q:\n%s", want, out)
		}
	}
	// The next run brings it back.
	s.run(t, "mechanics/readiness").ends(t, exitPass, eventual)
}

func (s *bench) clusterDeleted(t *testing.T) {
	p := s.run(t, "canary/promotes-good")
	p.says(t, "waiting for v2 to be promoted", 3*time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	ids, err := exec.CommandContext(ctx, "docker", "ps", "--quiet", "--filter", "label=io.x-k8s.kind.cluster="+s.name).Output()
	if err != nil || len(ids) == 0 {
		t.Fatalf("no node to remove: %v", err)
	}
	if out, err := exec.CommandContext(ctx, "docker", append([]string{"rm", "--force", "--volumes"}, strings.Fields(string(ids))...)...).CombinedOutput(); err != nil {
		t.Fatal(errors.New(string(out)), err)
	}
	deleted := time.Now()
	out := p.ends(t, exitCouldNotRun, eventual)
	t.Logf("it ended %v after its cluster", time.Since(deleted).Round(time.Second))
	if !strings.Contains(out, "could not run  canary/promotes-good") {
		t.Errorf("without its cluster it said\n%s", out)
	}
	if _, result := s.record(t); result.Verdict == judge.Pass {
		t.Error("a run whose cluster was deleted passed")
	}
	// A cluster of ours that no longer works is thrown away, and a new one made.
	s.run(t, "mechanics/readiness").ends(t, exitPass, eventual)
}
