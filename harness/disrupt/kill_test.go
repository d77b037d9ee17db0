package disrupt

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

func (b *bench) replicaSet(replicas int) {
	b.put("replicasets", "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: rs, namespace: shop, uid: rs-uid}, spec: {replicas: %d}}", replicas)
}

func TestKillingByTheAPI(t *testing.T) {
	for _, how := range []How{Deleted, ForceDeleted} {
		t.Run(string(how), func(t *testing.T) {
			b := newBench(t)
			b.replicaSet(2)
			b.put("pods", podYAML, "b", "ReplicaSet")
			b.put("pods", podYAML, "c", "ReplicaSet")
			b.put("pods", podYAML, "a", "ReplicaSet")
			b.api.Put("pods", unready(b.api.Get("pods", "shop", "a"))) // so b is the first that is Ready
			if how == Deleted {
				b.kubelet("b")
			}
			uid := string(b.api.Get("pods", "shop", "b").GetUID())
			if err := b.env.Perform(t.Context(), KillPod{Namespace: "shop", Selector: "app=vault", How: how}); err != nil {
				t.Fatal(err)
			}
			if got, want := b.tape.phases(), string(how)+"-1 began, "+string(how)+"-1 landed"; got != want {
				t.Errorf("phases %q, want %q", got, want)
			}
			if saw := b.tape.evidence(history.Landed); !strings.Contains(saw, "pod b: uid "+uid+" is gone") {
				t.Errorf("evidence %q", saw)
			}
			b.put("pods", podYAML, "d", "ReplicaSet") // the ReplicaSet replaces it
			b.heal()
			if saw := b.tape.evidence(history.Healed); !strings.Contains(saw, "2 of 2 pods Ready") {
				t.Errorf("healed: %q", saw)
			}
		})
	}
}

// shell answers commands on a node.
type shell struct {
	pid  string
	err  error
	kill func()
	log  []string
}

func (s *shell) NodeExec(_ context.Context, node string, cmd ...string) ([]byte, error) {
	s.log = append(s.log, node+": "+strings.Join(cmd, " "))
	if cmd[0] == "kill" {
		s.kill()
		return nil, nil
	}
	return []byte(s.pid + "\n"), s.err
}

const endedYAML = `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: shop, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: rs, uid: rs-uid, controller: true}]}
spec: {nodeName: n1, containers: [{name: app}]}
status:
  conditions: [{type: Ready, status: "True"}]
  containerStatuses: [{name: app, containerID: "containerd://c2", restartCount: 1, lastState: {terminated: {containerID: "containerd://c1", exitCode: %d, reason: Error}}}]
`

func TestKillingTheProcess(t *testing.T) {
	cases := map[string]struct {
		shell  *shell
		result string
		want   string // of the error; empty when it lands
	}{
		"killed":                     {&shell{pid: "4711"}, endedYAML, ""},
		"nothing happens":            {&shell{pid: "4711"}, "", "wait for the end of container app of pod a: not within 200 ms: saw last: container containerd://c1, 0 restarts"},
		"it ended of something else": {&shell{pid: "4711"}, strings.ReplaceAll(endedYAML, "%d", "1"), "saw last: it ended with exit code 1"},
		"no process":                 {&shell{pid: "0"}, "", `crictl says "0\n"`},
		"the node does not answer":   {&shell{err: errors.New("no such node")}, "", "on node n1: no such node"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.replicaSet(1)
			b.put("pods", podYAML, "a", "ReplicaSet")
			b.env.Nodes = c.shell
			c.shell.kill = func() {
				if c.result != "" {
					b.put("pods", "%s", strings.ReplaceAll(c.result, "%d", "137"))
				}
			}
			bound := 200 * time.Millisecond
			if c.want == "" {
				bound = time.Minute
			}
			err := b.env.Perform(t.Context(), KillPod{Namespace: "shop", Pod: "a", How: Killed, Bound: bound})
			if c.want != "" {
				says(t, err, c.want)
				if got := b.tape.phases(); got != "killed-1 began, killed-1 failed" {
					t.Errorf("phases %q", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(c.shell.log, "; "); got != "n1: crictl inspect --output go-template --template {{.info.pid}} c1; n1: kill -9 4711" {
				t.Errorf("ran %s", got)
			}
			if saw := b.tape.evidence(history.Landed); !strings.Contains(saw, "exit code 137") || b.tape.phases() != "killed-1 began, killed-1 landed" {
				t.Errorf("phases %q, evidence %q", b.tape.phases(), saw)
			}
			b.heal()
		})
	}
}

func TestKillsThatDoNotLand(t *testing.T) {
	cases := map[string]struct {
		kill KillPod
		want string
	}{
		"the pod never ends":   {KillPod{Pod: "a", How: Deleted, Bound: 50 * time.Millisecond}, "wait for the end of pod a: not within 50 ms: saw last: uid"},
		"no such pod":          {KillPod{Pod: "z", How: Deleted}, "get pod z"},
		"none selected":        {KillPod{Selector: "app=other", How: Deleted}, "no Ready pod in shop is selected by app=other"},
		"a pod of no workload": {KillPod{Pod: "bare", How: ForceDeleted}, "belongs to no workload"},
		"no way to the nodes":  {KillPod{Pod: "a", How: Killed}, "no command can be run on this cluster's nodes"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.replicaSet(1)
			b.put("pods", podYAML, "a", "ReplicaSet")
			b.put("pods", "{apiVersion: v1, kind: Pod, metadata: {name: bare, namespace: shop}, spec: {containers: [{name: app}]}}")
			c.kill.Namespace = "shop"
			says(t, b.env.Perform(t.Context(), c.kill), c.want)
			if got := b.tape.phases(); !strings.HasSuffix(got, "-1 failed") || strings.Contains(got, "landed") {
				t.Errorf("phases %q", got)
			}
		})
	}
}

func TestAWorkloadThatStaysShortIsNotHealed(t *testing.T) {
	b := newBench(t)
	b.replicaSet(1)
	b.put("pods", podYAML, "a", "ReplicaSet")
	if err := b.env.Perform(t.Context(), KillPod{Namespace: "shop", Pod: "a", How: ForceDeleted}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, errors.New("the harness ends"))
	defer cancel()
	says(t, b.env.Heal(ctx), "wait for replicaset rs: the harness ends: saw last: 0 of 1 pods Ready")
	if got := b.tape.phases(); got != "force-deleted-1 began, force-deleted-1 landed, force-deleted-1 unhealed" {
		t.Errorf("phases %q", got)
	}
}

// What an operator's object wants nobody can read: its pods are to be as many as they were, and not one.
func TestHealingWaitsForAsManyPodsAsAnOperatorHad(t *testing.T) {
	b := newBench(t)
	b.operated()
	if err := b.env.Perform(t.Context(), KillPod{Namespace: "shop", Pod: "db-0", How: ForceDeleted}); err != nil {
		t.Fatal(err)
	}
	b.play(func() {
		if b.api.Get("pods", "shop", "db-0") == nil {
			b.put("pods", memberYAML, 0, "Cluster", "2", "registry/db@sha256:1111")
		}
	})
	b.heal()
	if saw := b.tape.evidence(history.Healed); !strings.Contains(saw, "3 of 3 pods Ready") {
		t.Errorf("healed: %q", saw)
	}
}
