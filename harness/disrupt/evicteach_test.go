package disrupt

import (
	"context"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

func eachOf() EvictEach {
	return EvictEach{Workload: db, Selector: "app=vault", Retry: time.Millisecond}
}

// Every member is asked for at once; one that a budget holds back is asked for again, each time on the record, and no node is touched.
func TestEachMemberIsEvicted(t *testing.T) {
	b := newBench(t)
	b.replicaSet(2)
	b.node()
	b.budget("b", 2)
	b.kubelet("a", "b", "daemon")
	if err := b.env.Perform(t.Context(), eachOf()); err != nil {
		t.Fatal(err)
	}
	saw := b.tape.evidence(history.Landed)
	for _, want := range []string{"pod shop/a: uid ", "is gone, evicted after 0 refusals", "pod shop/b: uid ", "is gone, evicted after 2 refusals"} {
		if !strings.Contains(saw, want) {
			t.Errorf("the evidence lacks %q: %s", want, saw)
		}
	}
	answers := map[string]int{}
	for _, e := range b.tape.evictions() {
		answers[e.Pod]++
		if e.Disturbance != "evict-each-1" || e.Code == 429 && e.Cause != "DisruptionBudget" {
			t.Errorf("recorded %+v", e)
		}
	}
	if answers["a"] != 1 || answers["b"] != 3 || b.cordoned() {
		t.Errorf("answers %v, cordoned = %v", answers, b.cordoned())
	}
}

func TestEvictEachRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		stage func(*bench)
		each  EvictEach
		tells []string
	}{
		"a single member":         {onePod, eachOf(), []string{"has 1 members", "at least two"}},
		"nothing that it selects": {func(*bench) {}, eachOf(), []string{"has 0 members"}},
		"no selector":             {func(*bench) {}, EvictEach{Workload: db}, []string{"what selects its members"}},
		"a budget that never allows it": {func(b *bench) { b.replicaSet(2); b.node(); b.budget("b", -1); b.kubelet("a", "b", "daemon") },
			EvictEach{Workload: db, Selector: "app=vault", Retry: time.Millisecond, Budget: short}, []string{"evict pod shop/b: refused", "not within 300 ms", "needs 3 healthy pods"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			c.stage(b)
			says(t, b.env.Perform(t.Context(), c.each), c.tells...)
		})
	}
}

// files is a node whose containers have some files.
type files struct {
	*shell
	found string
}

func (f files) NodeExec(ctx context.Context, node string, cmd ...string) ([]byte, error) {
	if cmd[0] == "find" {
		f.log = append(f.log, node+": "+strings.Join(cmd, " "))
		return []byte(f.found), nil
	}
	return f.shell.NodeExec(ctx, node, cmd...)
}

// The files go before the process does, and a container without any is not killed for nothing.
func TestAKillThatWipesAVolume(t *testing.T) {
	kill := KillPod{Namespace: "shop", Selector: "app=vault", How: Killed, Wipe: Wipe{Dir: "/data", Path: "*/msgs/*"}, Bound: time.Minute}
	for name, found := range map[string]string{"two files": "/proc/4711/root/data/s/msgs/1\n/proc/4711/root/data/s/msgs/2\n", "none": ""} {
		b := newBench(t)
		onePod(b)
		node := files{&shell{pid: "4711", kill: func() { b.put("pods", "%s", strings.ReplaceAll(endedYAML, "%d", "137")) }}, found}
		b.env.Nodes = &node
		err := b.env.Perform(t.Context(), kill)
		killed := strings.Contains(strings.Join(node.log, "\n"), "kill -9 4711")
		if found == "" {
			says(t, err, "wipe */msgs/* below /data of container app of pod a", "no file is there")
		} else if saw := b.tape.evidence(history.Landed); err != nil || !strings.Contains(saw, "2 removed") || !strings.Contains(saw, "exit code 137") {
			t.Errorf("%s: %v, evidence %s", name, err, saw)
		}
		if killed != (found != "") {
			t.Errorf("%s: the process was killed = %v, by %q", name, killed, node.log)
		}
	}
	for _, bad := range []KillPod{
		{Namespace: "shop", Selector: "a=b", How: Deleted, Wipe: kill.Wipe},
		{Namespace: "shop", Selector: "a=b", How: Killed, Wipe: Wipe{Dir: "/", Path: "*"}},
		{Namespace: "shop", Selector: "a=b", How: Killed, Wipe: Wipe{Dir: "data", Path: "*"}},
		{Namespace: "shop", Selector: "a=b", How: Killed, Wipe: Wipe{Dir: "/data"}},
	} {
		if _, err := bad.Namespaces(t.Context(), nil); err == nil {
			t.Errorf("%+v is taken", bad.Wipe)
		}
	}
}
