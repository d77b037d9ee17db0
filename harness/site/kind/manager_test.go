package kind

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"bitvault.dev/rollproof/harness/progress"
)

func healthyServer(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// nothingLeft fails unless no container, network, record or kubeconfig of ours is left.
func (f *fixture) nothingLeft(t *testing.T) {
	t.Helper()
	if left := f.engine.names(); len(left) > 0 {
		t.Errorf("containers left: %v", left)
	}
	if len(f.engine.networks) > 0 {
		t.Errorf("networks left: %v", f.engine.networks)
	}
	if names, err := f.records.names(); err != nil || len(names) > 0 {
		t.Errorf("records left: %v %v", names, err)
	}
	if locks, _ := os.ReadDir(filepath.Join(f.state, "locks")); len(locks) > 0 {
		t.Errorf("locks left: %v", locks)
	}
}

func TestAFailedCheckIsAFailedUpWithLogsAndNothingLeft(t *testing.T) {
	f := newFixture(t)
	o := f.options(t)
	_, report, err := f.Up(context.Background(), o)
	if !errors.Is(err, errPlanted) {
		t.Fatalf("got %v", err)
	}
	if f.kind.cluster != "x" {
		t.Error("kind was never asked: this test proves nothing")
	}
	if len(report.Results) != 1 {
		t.Errorf("results %v", report.Results)
	}
	logs, _ := filepath.Glob(filepath.Join(o.LogsDir, "cluster-x-*"))
	if len(logs) != 1 || !strings.Contains(err.Error(), logs[0]) {
		t.Fatalf("the error does not name the logs %v: %v", logs, err)
	}
	for _, file := range []string{"kind.log", "checks.json", "x-rollproof-registry.log", "nodes"} {
		if _, err := os.Stat(filepath.Join(logs[0], file)); err != nil {
			t.Error(err)
		}
	}
	f.nothingLeft(t)
}

func TestRetainKeepsAllAndSaysHowToRemoveIt(t *testing.T) {
	f := newFixture(t)
	o := f.options(t)
	o.Retain = true
	_, _, err := f.Up(context.Background(), o)
	if !errors.Is(err, errPlanted) || !strings.Contains(err.Error(), "rollproof cluster down --name x") {
		t.Fatalf("got %v", err)
	}
	if left := f.engine.names(); len(left) != 4 {
		t.Fatalf("kept %v, want three nodes and the registry", left)
	}
	cleaned, err := f.Sweep(context.Background(), t.Logf)
	if err != nil || len(cleaned) != 0 {
		t.Errorf("the sweep removed %v (%v) although it was to be kept", cleaned, err)
	}
	if _, _, err := f.Up(context.Background(), o); err == nil || !strings.Contains(err.Error(), "--retain kept") {
		t.Errorf("up over it: %v", err)
	}
	if found, err := f.Down(context.Background(), "x", t.Logf); err != nil || !found {
		t.Fatalf("down: %v %v", found, err)
	}
	f.nothingLeft(t)
}

func TestEveryStepThatFailsLeavesNothing(t *testing.T) {
	cases := map[string]func(f *fixture){
		"images":   func(f *fixture) { f.images = fakeImages{err: errPlanted} },
		"registry": func(f *fixture) { f.engine.startErr = errPlanted; f.kind.create = f.untilRemoved() },
		"nodes":    func(f *fixture) { f.kind.create = func() error { return errPlanted } },
		"checks":   func(*fixture) {},
		"panic": func(f *fixture) {
			f.checkAll = func(context.Context, *Cluster, string, *progress.Display) ([]Result, error) { panic(errPlanted) }
		},
	}
	for name, plant := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			plant(f)
			err := func() (err error) {
				defer func() {
					if p := recover(); p != nil {
						err = fmt.Errorf("panic: %v", p)
					}
				}()
				_, _, err = f.Up(context.Background(), f.options(t))
				return err
			}()
			if err == nil || !strings.Contains(err.Error(), errPlanted.Error()) {
				t.Errorf("the cause is not told: %v", err)
			}
			f.nothingLeft(t)
		})
	}
}

// untilRemoved makes kind's Create block, as it does for half a minute, until its nodes are removed under it.
func (f *fixture) untilRemoved() func() error {
	removed := make(chan struct{}, 16)
	f.engine.onRemove = func(string) { removed <- struct{}{} }
	return func() error { <-removed; return errors.New("node is gone") }
}

func TestCancelWhileKindWorksLeavesNothing(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithCancel(context.Background())
	block := f.untilRemoved()
	returned := make(chan struct{})
	f.kind.create = func() error { defer close(returned); cancel(); return block() }
	_, _, err := f.Up(ctx, f.options(t))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	select {
	case <-returned:
	default:
		t.Error("kind still works: what it makes now would be left")
	}
	f.nothingLeft(t)
}

func TestACancelledRetainKeepsAll(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithCancel(context.Background())
	end := make(chan struct{})
	defer close(end)
	f.kind.create = func() error { cancel(); <-end; return nil }
	o := f.options(t)
	o.Retain = true
	_, _, err := f.Up(ctx, o)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "rollproof cluster down --name x") {
		t.Errorf("got %v", err)
	}
	if len(f.engine.names()) < 3 {
		t.Errorf("kept only %v", f.engine.names())
	}
}

func TestAClusterThatIsNotOursIsRefused(t *testing.T) {
	f := newFixture(t)
	f.engine.add(runningContainer{Name: "x-control-plane", Labels: map[string]string{labelKind: "x"}})
	_, _, upErr := f.Up(context.Background(), f.options(t))
	_, downErr := f.Down(context.Background(), "x", t.Logf)
	_, sweepErr := f.Sweep(context.Background(), t.Logf)
	for what, err := range map[string]error{"up": upErr, "down": downErr} {
		if err == nil || !strings.Contains(err.Error(), "that rollproof did not make") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if sweepErr != nil || f.kind.cluster != "" || len(f.engine.names()) != 1 {
		t.Errorf("it was touched: %v %v %v", sweepErr, f.kind.cluster, f.engine.names())
	}
}

func TestDownOfNothing(t *testing.T) {
	f := newFixture(t)
	if found, err := f.Down(context.Background(), "x", t.Logf); found || err != nil {
		t.Errorf("%v %v", found, err)
	}
	f.nothingLeft(t)
}

// deadOwner is a process that cannot be: pids of this boot that do not exist, or a start time nobody has.
func deadOwner() Owner { return Owner{Run: "dead", PID: os.Getpid(), Start: "another-boot/1"} }

func (f *fixture) plant(t *testing.T, r Record) {
	t.Helper()
	if err := f.records.put(r); err != nil {
		t.Fatal(err)
	}
	f.engine.add(runningContainer{Name: r.Name + "-control-plane", Labels: map[string]string{labelKind: r.Name},
		Sources: []string{f.records.hostsFolder(r.Name)}})
	labels := r.Owner.labels()
	labels[LabelState], labels[LabelCluster] = f.state, r.Name
	f.engine.add(runningContainer{Name: registryName(r.Name), Labels: labels})
}

func TestSweepRemovesWhatAKilledRunLeftAndNothingElse(t *testing.T) {
	f := newFixture(t)
	f.engine.networks[networkName] = map[string]string{LabelOwner: "dead"}
	f.plant(t, Record{Name: "half-made", Phase: Creating, Owner: deadOwner()})
	f.plant(t, Record{Name: "half-removed", Phase: Removing, Owner: deadOwner()})
	f.plant(t, Record{Name: "finished", Phase: Ready, Owner: deadOwner()})
	f.plant(t, Record{Name: "kept", Phase: Creating, Retain: true, Owner: deadOwner()})
	f.plant(t, Record{Name: "in-work", Phase: Creating, Owner: f.owner})
	unlock, err := f.records.tryLock("in-work")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	// without a record: a dead run's, a live run's, another user's, another tool's
	orphan := func(name string, o Owner, state string) {
		labels := o.labels()
		labels[LabelState] = state
		f.engine.add(runningContainer{Name: name, Labels: labels})
	}
	orphan("git-of-dead-run", deadOwner(), f.state)
	orphan("git-of-live-run", f.owner, f.state)
	orphan("git-of-other-user", deadOwner(), "/home/other/state")
	f.engine.add(runningContainer{Name: "node-without-record", Labels: map[string]string{labelKind: "lost"}, Sources: []string{f.records.hostsFolder("lost")}})
	f.engine.add(runningContainer{Name: "other-control-plane", Labels: map[string]string{labelKind: "other"}, Sources: []string{"/lib/modules"}})
	f.engine.add(runningContainer{Name: "stranger"})

	cleaned, err := f.Sweep(context.Background(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	wantCleaned := []string{"cluster half-made", "cluster half-removed", "container git-of-dead-run", "container node-without-record"}
	if !slices.Equal(cleaned, wantCleaned) {
		t.Errorf("removed %v, want %v", cleaned, wantCleaned)
	}
	want := []string{"finished-control-plane", "finished-rollproof-registry", "git-of-live-run", "git-of-other-user", "in-work-control-plane",
		"in-work-rollproof-registry", "kept-control-plane", "kept-rollproof-registry", "other-control-plane", "stranger"}
	if got := f.engine.names(); !slices.Equal(got, want) {
		t.Errorf("left\n%v, want\n%v", got, want)
	}
	if names, _ := f.records.names(); !slices.Equal(names, []string{"finished", "in-work", "kept"}) {
		t.Errorf("records left: %v", names)
	}
}

func TestAContainerThatSurvivesItsRemovalIsRemovedAgain(t *testing.T) {
	f := newFixture(t)
	f.plant(t, Record{Name: "half-made", Phase: Creating, Owner: deadOwner()})
	f.engine.add(runningContainer{Name: "node-without-record", Labels: map[string]string{labelKind: "lost"}, Sources: []string{f.records.hostsFolder("lost")}})
	f.engine.stubborn = 3
	if _, err := f.Sweep(context.Background(), t.Logf); err != nil {
		t.Fatal(err)
	}
	f.nothingLeft(t)
}

func TestRemovalWaitsForDockerCommandsThatOutliveTheirHarness(t *testing.T) {
	f := newFixture(t)
	f.proc = t.TempDir()
	putCommand := func(pid string, argv ...string) string {
		path := filepath.Join(f.proc, pid, "cmdline")
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.Join(argv, "\x00")+"\x00"), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	putCommand("1", "docker", "logs", "-f", "late-control-plane")
	putCommand("2", "docker", "run", "--label", labelKind+"=other")
	putCommand("3", "grep", "run", labelKind+"=late")
	if n := clientsOf(f.proc, "late"); n != 0 {
		t.Fatalf("%d commands taken for makers of the cluster", n)
	}
	maker := putCommand("4", "/usr/bin/docker", "run", "--name", "late-worker", "--label", labelKind+"=late")
	f.plant(t, Record{Name: "late", Phase: Creating, Owner: deadOwner()})
	made := false
	f.engine.onRemove = func(string) {
		if !made { // the command makes its node after the others were removed, and ends
			made = true
			f.engine.add(runningContainer{Name: "late-worker", Labels: map[string]string{labelKind: "late"}})
			if err := os.Remove(maker); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := f.Sweep(context.Background(), t.Logf); err != nil {
		t.Fatal(err)
	}
	if !made {
		t.Error("nothing was made late: this proves nothing")
	}
	f.nothingLeft(t)
}

func TestSweepAfterACrashBeforeTheRecord(t *testing.T) {
	f := newFixture(t)
	if err := os.MkdirAll(f.records.hostsFolder("x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Sweep(context.Background(), t.Logf); err != nil {
		t.Fatal(err)
	}
	f.nothingLeft(t)
}

func TestADamagedRecordIsTold(t *testing.T) {
	f := newFixture(t)
	f.plant(t, Record{Name: "x", Phase: Ready})
	if err := os.WriteFile(f.records.file("x"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := f.Up(context.Background(), f.options(t))
	if err == nil || !strings.Contains(err.Error(), f.records.file("x")) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
	if len(f.engine.names()) != 2 {
		t.Errorf("something was removed on a guess: left %v", f.engine.names())
	}
}

func TestReuseRefusesWhatIsNotTheSame(t *testing.T) {
	config := mustParse(t, goodConfig)
	good := Record{Name: "x", Phase: Ready, ConfigSum: config.Sum, NodeKey: "key-1", UID: "u", Workers: 2, ProbeAddr: "127.0.0.1:18081"}
	cases := map[string]struct {
		change func(*Record)
		want   string
	}{
		"configuration":  {func(r *Record) { r.ConfigSum = "other" }, "another configuration"},
		"node image":     {func(r *Record) { r.NodeKey = "key-0" }, "another node image (key-0, now key-1)"},
		"no kubeconfig":  {func(*Record) {}, "not healthy"},
		"nobody answers": {func(*Record) {}, "not healthy: read the cluster's identity"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			record := good
			c.change(&record)
			f.plant(t, record)
			if name == "nobody answers" {
				f.engine.add(runningContainer{Name: registryName("x"), Address: f.engine.root,
					Labels: map[string]string{LabelCluster: "x", LabelState: f.state}})
				if err := os.WriteFile(f.records.kubeconfig("x"), []byte(kubeconfig("x")), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, report, err := f.Up(context.Background(), f.options(t))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "cluster down --name x") {
				t.Errorf("got %v, want %q and what to do", err, c.want)
			}
			if !report.Existing || f.kind.cluster != "" {
				t.Error("a second one was made")
			}
		})
	}
}

func TestStatusOfABrokenClusterSaysSo(t *testing.T) {
	f := newFixture(t)
	if _, err := f.Status(context.Background(), "x"); err == nil || !strings.Contains(err.Error(), "cluster up --name x") {
		t.Errorf("no cluster: %v", err)
	}
	f.plant(t, Record{Name: "x", Phase: Creating, Owner: Owner{PID: 77}})
	status, err := f.Status(context.Background(), "x")
	if err != nil || status.Ready || !strings.Contains(status.Note, "creating by process 77") {
		t.Errorf("%+v %v", status, err)
	}
}

func TestPreflight(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	config := mustParse(t, strings.Replace(goodConfig, "18081", fmt.Sprint(port), 1))
	self := fmt.Sprintf("(pid %d)", os.Getpid())
	cases := map[string]struct {
		plant func(*fixture)
		want  []string // nothing: passes
	}{
		"all good":    {func(*fixture) {}, nil},
		"port in use": {func(f *fixture) { f.machine.listen, f.machine.listener = net.Listen, listeningProcess }, []string{"kind-config.yaml", fmt.Sprint(port), "process", self}},
		"by a cluster": {func(f *fixture) {
			f.machine.listen = net.Listen
			f.engine.add(runningContainer{Name: "y-control-plane", Labels: map[string]string{labelKind: "y"}, Ports: []uint16{uint16(port)}})
		}, []string{"cluster y (container y-control-plane)"}},
		"by somebody unknown": {func(f *fixture) {
			f.machine.listen = net.Listen
			f.machine.listener = func(context.Context, string) (string, error) { return "", errPlanted }
		}, []string{fmt.Sprint(port), "planted fault"}},
		"not allowed": {func(f *fixture) {
			f.machine.listen = func(string, string) (net.Listener, error) { return nil, syscall.EACCES }
		}, []string{"cannot be used"}},
		"disk": {func(f *fixture) { f.machine.free = func(string) (uint64, error) { return 6 << 30, nil } }, []string{"6.0 GiB free", "needs 7.0 GiB"}},
		"disk of the cache": {func(f *fixture) {
			f.machine.free = func(path string) (uint64, error) {
				if path == "/layout" {
					return 1 << 30, nil
				}
				return 1 << 40, nil
			}
		}, []string{"/layout has 1.0 GiB free", "needs 2.0 GiB", "images prune"}},
		"engine far away": {func(f *fixture) { f.machine.free = func(string) (uint64, error) { return 0, errPlanted } }, nil},
		"just enough":     {func(f *fixture) { f.machine.free = func(string) (uint64, error) { return 7 << 30, nil } }, nil},
		"memory": {func(f *fixture) {
			f.machine.memory = func(context.Context) (uint64, uint64, error) { return 2 << 30, engineMemory, nil }
		}, []string{"2.0 GiB of memory to give (of 8.0 GiB)", "3 nodes", "needs 3.1 GiB"}},
		"memory of an engine far away": {func(f *fixture) {
			f.machine.memory = func(context.Context) (uint64, uint64, error) { return 1 << 30, 4 << 30, nil }
		}, nil},
		"inotify": {func(f *fixture) { f.machine.inotify = func() (bool, error) { return false, errPlanted } }, []string{"planted fault"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			c.plant(f)
			err := f.preflight(context.Background(), config, 2<<30)
			if len(c.want) == 0 {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if err == nil {
				t.Fatal("passed")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
		})
	}
}

func TestAPortThatAConnectionHasIsExplained(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	connection, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	who, err := listeningProcess(context.Background(), connection.LocalAddr().String())
	if err != nil || !strings.Contains(who, "ESTABLISHED to "+listener.Addr().String()) {
		t.Errorf("%q %v", who, err)
	}
	if who, err := listeningProcess(context.Background(), "127.0.0.1:1"); err == nil {
		t.Errorf("nobody is there, yet it is %q", who)
	}
}

func TestUpChecksBeforeItMakesAnything(t *testing.T) {
	cases := map[string]struct {
		plant func(*fixture, *UpOptions)
		want  string
	}{
		"name":    {func(_ *fixture, o *UpOptions) { o.Name = "A b" }, "cannot name a cluster"},
		"workers": {func(_ *fixture, o *UpOptions) { o.MinWorkers, o.NeededBy = 3, "scenario quorum" }, "scenario quorum needs 3"},
		"disk":    {func(f *fixture, _ *UpOptions) { f.machine.free = func(string) (uint64, error) { return 0, nil } }, "0.0 GiB free"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			o := f.options(t)
			c.plant(f, &o)
			_, _, err := f.Up(context.Background(), o)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if f.kind.cluster != "" {
				t.Error("kind was asked")
			}
			f.nothingLeft(t)
		})
	}
}
