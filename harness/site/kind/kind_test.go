//go:build kind

package kind

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"

	"bitvault.dev/rollproof/harness/docker"
	"bitvault.dev/rollproof/harness/images"
	"bitvault.dev/rollproof/harness/progress"
	"bitvault.dev/rollproof/harness/site"
	"bitvault.dev/rollproof/harness/site/existing"
)

// e2e drives the real command on a real engine, with a state folder and ports of its own, so that it runs beside a cluster in use.
type e2e struct {
	binary, config, state, work string
	api                         *client.Client
	volumes                     map[string]bool // seen on our containers
}

func newE2E(t *testing.T) *e2e {
	t.Helper()
	ctx := context.Background()
	if _, err := docker.Ensure(ctx, t.Logf); err != nil {
		t.Fatal(err)
	}
	api, err := docker.Connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { api.Close() })
	dir := t.TempDir()
	e := &e2e{binary: filepath.Join(dir, "rollproof"), config: filepath.Join(dir, "kind-config.yaml"), state: filepath.Join(dir, "state"), work: dir, api: api, volumes: map[string]bool{}}
	if out, err := exec.Command("go", "build", "-o", e.binary, "bitvault.dev/rollproof/cmd/rollproof").CombinedOutput(); err != nil {
		t.Fatalf("build: %v %s", err, out)
	}
	raw, err := os.ReadFile("../../../kind-config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(e.userKubeconfig(), []byte(kubeconfig("of-the-user")), 0o600); err != nil {
		t.Fatal(err)
	}
	for i, port := range freePorts(t, 3) {
		raw = bytes.ReplaceAll(raw, []byte("hostPort: "+[]string{"18080", "18443", "18081"}[i]), []byte("hostPort: "+port))
	}
	if err := os.WriteFile(e.config, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	return e
}

// freePorts are ports that nobody uses right now, below those of outgoing connections: other clusters may be in use on this machine.
func freePorts(t *testing.T, n int) []string {
	t.Helper()
	var free []string
	for port := 20000 + os.Getpid()%10000; len(free) < n && port < 32768; port++ {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			listener.Close()
			free = append(free, fmt.Sprint(port))
		}
	}
	if len(free) < n {
		t.Fatal("no free ports")
	}
	return free
}

func (e *e2e) command(args ...string) *exec.Cmd {
	cmd := exec.Command(e.binary, args...)
	cmd.Env = append(os.Environ(), "ROLLPROOF_STATE="+e.state, "KUBECONFIG="+e.userKubeconfig())
	return cmd
}

// userKubeconfig stands for the user's own.
func (e *e2e) userKubeconfig() string { return filepath.Join(e.work, "user-kubeconfig") }

// contexts names the contexts in the user's kubeconfig.
func (e *e2e) contexts(t *testing.T) []string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(e.userKubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(config.Contexts))
}

// run runs the command to its end and returns all it printed.
func (e *e2e) run(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	began := time.Now()
	raw, err := e.command(args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("rollproof %s: %v", strings.Join(args, " "), err)
	}
	if exit != nil {
		code = exit.ExitCode()
	}
	t.Logf("rollproof %s: exit code %d after %s\n%s", strings.Join(args, " "), code, time.Since(began).Round(100*time.Millisecond), raw)
	return code, string(raw)
}

func (e *e2e) up(t *testing.T, name string, more ...string) (int, string) {
	t.Helper()
	return e.run(t, append([]string{"cluster", "up", "--name", name, "--config", e.config}, more...)...)
}

// left lists what exists of the clusters of this test: containers, their volumes as far as they were seen, the network, files. Others may
// use the same engine at the same time, so what is not ours is not compared.
func (e *e2e) left(t *testing.T) []string {
	t.Helper()
	ctx := context.Background()
	var all []string
	containers, err := e.api.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		t.Fatal(err)
	}
	foreign := 0
	for _, c := range containers.Items {
		cluster := c.Labels[labelKind]
		if cluster != "e2e" && cluster != "e2e-int" && c.Labels[LabelState] != e.state {
			if c.HostConfig.NetworkMode == networkName {
				foreign++
			}
			continue
		}
		all = append(all, "container "+strings.Join(c.Names, ","))
		for _, mount := range c.Mounts {
			if mount.Type == "volume" {
				e.volumes[mount.Name] = true
			}
		}
	}
	volumes, err := e.api.VolumeList(ctx, client.VolumeListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range volumes.Items {
		if e.volumes[v.Name] {
			all = append(all, "volume "+v.Name)
		}
	}
	if n, found, err := (moby{e.api}).network(ctx, networkName); err != nil {
		t.Fatal(err)
	} else if _, ours := n.Labels[LabelOwner]; found && ours && foreign == 0 {
		all = append(all, "network "+n.Name)
	}
	_ = filepath.WalkDir(e.state, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			all = append(all, "file "+path)
		}
		return nil
	})
	slices.Sort(all)
	return all
}

// nothingLeft fails when something of the clusters of this test exists.
func (e *e2e) nothingLeft(t *testing.T) {
	t.Helper()
	if len(e.volumes) == 0 {
		t.Error("no volume was ever seen: that none is left proves nothing")
	}
	if left := e.left(t); len(left) > 0 {
		t.Errorf("left:\n%s", strings.Join(left, "\n"))
	}
}

func (e *e2e) nodes(t *testing.T, name string) []string {
	t.Helper()
	found, err := moby{e.api}.containers(context.Background(), labelKind+"="+name)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range found {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	return names
}

// syncBuffer is written by a running command while it is read here.
type syncBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// interrupt starts `cluster up`, waits until reached says that it is half-way, and sends a signal.
func (e *e2e) interrupt(t *testing.T, name string, signal syscall.Signal, reached func(out string) bool) {
	t.Helper()
	cmd := e.command("cluster", "up", "--name", name, "--config", e.config)
	var output syncBuffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	err := poll(context.Background(), name+" half-way", 10*time.Minute, func(context.Context) (bool, string) {
		return len(ended) > 0 || reached(output.String()), "not yet"
	})
	if err != nil || len(ended) > 0 {
		_ = cmd.Process.Kill()
		t.Fatalf("it never was half-way: %v\n%s", err, output.String())
	}
	seen := e.left(t)
	if err := cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	err = <-ended
	t.Logf("%d things were there at signal %v, then: %v\n%s", len(seen), signal, err, output.String())
	if err == nil {
		t.Fatalf("it succeeded before signal %v: this proves nothing", signal)
	}
}

func TestEndToEnd(t *testing.T) {
	e := newE2E(t)
	t.Cleanup(func() { // whatever failed above: leave the machine as it was found
		for _, name := range []string{"e2e", "e2e-int"} {
			_, _ = e.command("cluster", "down", "--name", name).CombinedOutput()
		}
	})
	if left := e.left(t); len(left) > 0 {
		t.Fatalf("an earlier run left %v: remove it first", left)
	}

	t.Run("Ctrl-C leaves nothing", func(t *testing.T) {
		e.interrupt(t, "e2e-int", syscall.SIGINT, func(out string) bool { return strings.Contains(out, "Starting control-plane") })
		e.nothingLeft(t)
	})
	t.Run("kill -9 leaves something, which the next up removes first", func(t *testing.T) {
		// the worst moment: the docker commands that kind started live on and finish their nodes
		e.interrupt(t, "e2e", syscall.SIGKILL, func(string) bool { return len(e.nodes(t, "e2e")) == 3 })
		if left := e.nodes(t, "e2e"); len(left) != 3 {
			t.Fatalf("kill -9 left %v: this proves nothing", left)
		}
		code, out := e.up(t, "e2e", "--export-kubeconfig")
		if code != 0 || !strings.Contains(out, "removed cluster e2e, which a killed run had left") {
			t.Fatalf("exit code %d", code)
		}
		for _, check := range checks {
			if !strings.Contains(out, "ok   "+check.name) {
				t.Errorf("check %q was not reported as passed", check.name)
			}
		}
	})
	t.Run("the user's kubeconfig got one more context because it was asked for", func(t *testing.T) {
		if got := e.contexts(t); !slices.Equal(got, []string{"kind-e2e", "kind-of-the-user"}) {
			t.Errorf("contexts %v", got)
		}
	})
	t.Run("status is the promised JSON", func(t *testing.T) { e.statusContract(t) })
	t.Run("a second up makes nothing", func(t *testing.T) {
		nodes := e.nodes(t, "e2e")
		if code, out := e.up(t, "e2e"); code != 0 || !strings.Contains(out, "nothing was made") || !slices.Equal(nodes, e.nodes(t, "e2e")) {
			t.Errorf("exit code %d", code)
		}
	})
	t.Run("another cluster on the same ports is refused", func(t *testing.T) {
		if code, out := e.up(t, "e2e-int"); code != 3 || !strings.Contains(out, "in use by cluster e2e (container e2e-control-plane)") {
			t.Errorf("exit code %d", code)
		}
	})
	t.Run("another user's cluster of that name is refused", func(t *testing.T) {
		cmd := e.command("cluster", "down", "--name", "e2e")
		cmd.Env = append(os.Environ(), "ROLLPROOF_STATE="+t.TempDir())
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "that rollproof did not make here") || len(e.nodes(t, "e2e")) != 3 {
			t.Errorf("%v %s", err, out)
		}
	})
	t.Run("live cluster", func(t *testing.T) { e.liveCluster(t) })
	t.Run("down leaves nothing", func(t *testing.T) {
		if len(e.left(t)) < 4+3+1 { // containers, volumes, network
			t.Errorf("only %v is there to be removed", e.left(t))
		}
		if code, _ := e.run(t, "cluster", "down", "--name", "e2e"); code != 0 {
			t.Errorf("exit code %d", code)
		}
		e.nothingLeft(t)
		if got := e.contexts(t); !slices.Equal(got, []string{"kind-of-the-user"}) {
			t.Errorf("contexts left in the user's kubeconfig: %v", got)
		}
		if code, out := e.run(t, "cluster", "status", "--name", "e2e"); code != 3 || !strings.Contains(out, "no cluster of ours is called e2e") {
			t.Errorf("exit code %d", code)
		}
	})
}

func (e *e2e) statusContract(t *testing.T) {
	raw, err := e.command("cluster", "status", "--name", "e2e", "--output", "json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var status struct {
		Name       string `json:"name"`
		Provider   string `json:"provider"`
		Ready      bool   `json:"ready"`
		Kubeconfig string `json:"kubeconfig"`
		Nodes      []struct {
			Name    string `json:"name"`
			Role    string `json:"role"`
			Ready   bool   `json:"ready"`
			Version string `json:"version"`
		} `json:"nodes"`
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&status); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	if status.Name != "e2e" || status.Provider != "kind" || !status.Ready || len(status.Nodes) != 3 {
		t.Errorf("%s", raw)
	}
	roles := map[string]int{}
	for _, node := range status.Nodes {
		roles[node.Role]++
		if !node.Ready || !strings.HasPrefix(node.Version, "v1.") {
			t.Errorf("node %+v", node)
		}
	}
	if roles["control-plane"] != 1 || roles["worker"] != 2 {
		t.Errorf("roles %v", roles)
	}
	if info, err := os.Stat(status.Kubeconfig); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("kubeconfig: %v %v", info, err)
	}
}

// liveCluster holds what needs the library rather than the command.
func (e *e2e) liveCluster(t *testing.T) {
	ctx := context.Background()
	root, err := images.FindRoot(".")
	if err != nil {
		t.Fatal(err)
	}
	store, err := images.Open(ctx, images.Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewManager(ctx, ManagerOptions{StateDir: e.state, Images: FromStore(store)})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	c, err := m.Get(ctx, "e2e")
	if err != nil {
		t.Fatal(err)
	}
	probe, err := m.images.Publish(ctx, c.Registry, probeComponent)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("an image is pulled by digest in a node", func(t *testing.T) { e.pullByDigest(t, store, probe) })
	t.Run("the guard knows our cluster by its identity", func(t *testing.T) {
		ours, err := m.forRuns(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(ours.Guard.Allow(ctx, "default"), ours.Guard.AllowNode(ctx, "e2e-worker", nil)); err != nil {
			t.Error(err)
		}
		if out, err := ours.Nodes.NodeExec(ctx, "e2e-worker", "hostname"); err != nil || strings.TrimSpace(string(out)) != "e2e-worker" {
			t.Errorf("a command on a node: %q, %v", out, err)
		}
		impostor := *c
		impostor.uid = "another"
		if err := (owned{&impostor}).Allow(ctx, "default"); err == nil || !strings.Contains(err.Error(), "not the one that rollproof made") {
			t.Errorf("a cluster of another identity: %v", err)
		}
	})
	t.Run("named as an existing cluster it needs its owner's consent", func(t *testing.T) {
		if _, err := existing.Open(ctx, c.Kubeconfig, ""); err == nil {
			t.Error("a current context was assumed")
		}
		theirs, err := existing.Open(ctx, c.Kubeconfig, c.Context)
		if err != nil {
			t.Fatal(err)
		}
		named, err := theirs.Ready(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for what, err := range map[string]error{"namespace": named.Guard.Allow(ctx, "default"), "node": named.Guard.AllowNode(ctx, "e2e-worker", []string{"default"})} {
			if err == nil || !strings.Contains(err.Error(), site.ConsentAnnotation) {
				t.Errorf("a %s without its owner's consent: %v", what, err)
			}
		}
	})
	t.Run("e2e-framework finds it", func(t *testing.T) {
		config, err := LoadConfig(e.config)
		if err != nil {
			t.Fatal(err)
		}
		provider := NewProvider(m, config).WithName("e2e")
		kubeconfig, err := provider.Create(ctx)
		if err != nil || kubeconfig != c.Kubeconfig {
			t.Fatalf("%s %v", kubeconfig, err)
		}
		if err := provider.WaitForControlPlane(ctx, nil); err != nil {
			t.Error(err)
		}
	})
	t.Run("teeth", func(t *testing.T) { e.teeth(t, c, probe) })
}

// pullByDigest removes the probe image from a node and pulls it again by digest: only the registry beside the cluster has it.
func (e *e2e) pullByDigest(t *testing.T, store *images.Store, ref string) {
	made, err := store.Ensure(context.Background(), probeComponent)
	if err != nil {
		t.Fatal(err)
	}
	digest := made[0].Digest
	if !strings.Contains(ref, "@"+digest) {
		t.Fatalf("published as %s, the store says %s", ref, digest)
	}
	_ = exec.Command("docker", "exec", "e2e-worker", "crictl", "rmi", ref).Run()
	if out, err := exec.Command("docker", "exec", "e2e-worker", "crictl", "inspecti", ref).CombinedOutput(); err == nil {
		t.Fatalf("it is still there, pulling it would prove nothing: %s", out)
	}
	if out, err := exec.Command("docker", "exec", "e2e-worker", "crictl", "pull", ref).CombinedOutput(); err != nil {
		t.Fatalf("pull: %v %s", err, out)
	}
	out, err := exec.Command("docker", "exec", "e2e-worker", "crictl", "inspecti", ref).CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte(digest)) {
		t.Errorf("the node does not have %s: %v %s", digest, err, out)
	}
	wrong := ref[:len(ref)-4] + "0000"
	if out, err := exec.Command("docker", "exec", "e2e-worker", "crictl", "pull", wrong).CombinedOutput(); err == nil {
		t.Errorf("a digest that does not exist was pulled: %s", out)
	}
}

// teeth plants one fault after another into the live cluster. Each must turn its own check red, and only until it is taken back.
func (e *e2e) teeth(t *testing.T, c *Cluster, probe string) {
	sh := func(t *testing.T, node, script string) {
		t.Helper()
		if out, err := exec.Command("docker", "exec", node, "sh", "-c", script).CombinedOutput(); err != nil {
			t.Fatalf("%s: %s: %v %s", node, script, err, out)
		}
	}
	everywhere := func(script string) func(*testing.T) {
		return func(t *testing.T) {
			for _, node := range e.nodes(t, "e2e") {
				sh(t, node, script)
			}
		}
	}
	scale := func(namespace, deployment string, replicas int) func(*testing.T) {
		return func(t *testing.T) {
			patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
			if _, err := c.Client.AppsV1().Deployments(namespace).Patch(context.Background(), deployment, types.StrategicMergePatchType, patch, metav1.PatchOptions{}); err != nil {
				t.Fatal(err)
			}
			// until the pods themselves are gone: an ending CoreDNS answers for seconds
			err := poll(context.Background(), deployment, 2*time.Minute, func(ctx context.Context) (bool, string) {
				pods, err := c.Client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
				if err != nil {
					return false, err.Error()
				}
				there, ready := 0, 0
				for _, pod := range pods.Items {
					if strings.HasPrefix(pod.Name, deployment+"-") {
						there++
						if podReady(&pod) {
							ready++
						}
					}
				}
				return there == replicas && ready == replicas, fmt.Sprintf("%d pods, %d ready", there, ready)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	cordon := func(on bool) func(*testing.T) {
		return func(t *testing.T) {
			patch := fmt.Appendf(nil, `{"spec":{"unschedulable":%v}}`, on)
			if _, err := c.Client.CoreV1().Nodes().Patch(context.Background(), "e2e-worker2", types.StrategicMergePatchType, patch, metav1.PatchOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	const hide = "iptables -w -t nat -%s POSTROUTING -s 10.244.0.0/16 -d 10.244.0.0/16 -j MASQUERADE"
	const block = "iptables -w -t raw -%s PREROUTING -i eth0 -p tcp --dport 30081 -j DROP"
	const swallow = "iptables -w -%s OUTPUT -p icmp --icmp-type destination-unreachable -j DROP"
	faults := []struct {
		check       string
		plant, heal func(*testing.T)
	}{
		{"nodes ready", cordon(true), cordon(false)},
		{"dns answers", scale("kube-system", "coredns", 0), scale("kube-system", "coredns", 2)},
		{"pod to pod", everywhere(fmt.Sprintf(hide, "I")), everywhere(fmt.Sprintf(hide, "D"))},
		{"volume binds", scale("local-path-storage", "local-path-provisioner", 0), scale("local-path-storage", "local-path-provisioner", 1)},
		{"node port answers", func(t *testing.T) { sh(t, "e2e-control-plane", fmt.Sprintf(block, "I")) }, func(t *testing.T) { sh(t, "e2e-control-plane", fmt.Sprintf(block, "D")) }},
		{"gone pod refuses", everywhere(fmt.Sprintf(swallow, "I")), everywhere(fmt.Sprintf(swallow, "D"))},
	}
	for _, fault := range faults {
		t.Run(fault.check, func(t *testing.T) {
			fault.plant(t)
			defer fault.heal(t)
			results, err := e.quickChecks(t, c, probe)
			if err == nil {
				t.Fatal("nothing turned red")
			}
			for _, result := range results {
				if result.Passed == (result.Name == fault.check) {
					t.Errorf("check %q passed: %v, %s%s", result.Name, result.Passed, result.Evidence, result.Error)
				}
			}
			t.Log(err)
		})
	}
	t.Run("healed", func(t *testing.T) {
		if results, err := checkReadiness(context.Background(), c, probe, progress.Discard()); err != nil {
			t.Errorf("%v %+v", err, results)
		}
	})
}

// quickChecks runs all checks with limits that a broken cluster need not exhaust.
func (e *e2e) quickChecks(t *testing.T, c *Cluster, probe string) ([]Result, error) {
	t.Helper()
	p := &proving{cluster: c, image: probe, namespace: readyNamespace + newRunID(), limits: defaultLimits}
	p.limits.nodes, p.limits.check, p.limits.gone, p.limits.pods = 10*time.Second, 15*time.Second, 15*time.Second, 30*time.Second
	p.exec = p.execProbe
	return runChecks(context.Background(), p, checks, t.Logf)
}
