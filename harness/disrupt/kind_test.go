//go:build kind

package disrupt_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"bitvault.dev/rollproof/harness/disrupt"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/kube"
	"bitvault.dev/rollproof/harness/observe"
)

const shop = "rollproof-disrupt-test"

// inContainers runs commands on nodes that are containers, as kind's are.
type inContainers struct{}

func (inContainers) NodeExec(ctx context.Context, node string, cmd ...string) ([]byte, error) {
	return exec.CommandContext(ctx, "docker", append([]string{"exec", node}, cmd...)...).Output()
}

// cluster is a real cluster that may be disturbed: the file that ROLLPROOF_KIND_KUBECONFIG names leads to it.
type cluster struct {
	*testing.T
	kube *kubernetes.Clientset
	env  *disrupt.Env
	obs  *observe.Observer
	rec  *history.Recorder
	dir  string
}

func realCluster(t *testing.T) *cluster {
	path := os.Getenv("ROLLPROOF_KIND_KUBECONFIG")
	if path == "" {
		t.Fatal("ROLLPROOF_KIND_KUBECONFIG is not set: name the kubeconfig of a kind cluster that may be disturbed")
	}
	conf, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{T: t, dir: filepath.Join(t.TempDir(), "run")}
	if c.rec, err = history.Create(c.dir, history.Run{ID: "kind"}, history.NewClock()); err != nil {
		t.Fatal(err)
	}
	allowed := disrupt.GuardFunc(func(context.Context, string) error { return nil })
	if c.env, err = disrupt.NewEnv(conf, c.rec, allowed, inContainers{}); err != nil {
		t.Fatal(err)
	}
	if c.kube, err = kubernetes.NewForConfig(conf); err != nil {
		t.Fatal(err)
	}
	if c.obs, err = observe.Start(context.Background(), c.rec, observe.Config{REST: conf, Namespaces: []string{shop}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		background := metav1.DeletePropagationBackground
		if err := c.kube.CoreV1().Namespaces().Delete(context.Background(), shop, metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
			t.Errorf("remove namespace %s: %v", shop, err)
		}
	})
	return c
}

// workload is three pods that do nothing, and a budget that lets one go at a time.
func (c *cluster) workload(image string) {
	c.Helper()
	labels := map[string]string{"app": "vault", kube.VersionLabel: "v1"}
	three, one, grace := int32(3), intstr.FromInt32(1), int64(1)
	_, err := c.kube.CoreV1().Namespaces().Create(c.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: shop}}, metav1.CreateOptions{})
	c.must(err)
	_, err = c.kube.AppsV1().Deployments(shop).Create(c.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "vault"},
		Spec: appsv1.DeploymentSpec{Replicas: &three, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "vault"}},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{TerminationGracePeriodSeconds: &grace, Containers: []corev1.Container{{Name: "app", Image: image}}}}},
	}, metav1.CreateOptions{})
	c.must(err)
	_, err = c.kube.PolicyV1().PodDisruptionBudgets(shop).Create(c.Context(), &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "vault"},
		Spec:       policyv1.PodDisruptionBudgetSpec{MaxUnavailable: &one, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "vault"}}},
	}, metav1.CreateOptions{})
	c.must(err)
}

func (c *cluster) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

func (c *cluster) perform(d disrupt.Disturbance) {
	c.Helper()
	began := time.Now()
	c.must(c.env.Perform(c.Context(), d))
	c.Logf("%s of %s landed after %s", d.Name(), d.Target(), time.Since(began).Round(time.Millisecond))
}

// awaitReady waits for three Ready pods of a version and no other pod.
func (c *cluster) awaitReady(version string) {
	c.Helper()
	c.must(c.obs.Await(c.Context(), "three Ready pods of "+version, 2*time.Minute, func(s observe.State) (bool, string) {
		good, all := 0, 0
		for u := range s.All("pods", shop) {
			all++
			for _, cond := range conditions(u.Object) {
				if cond["type"] == "Ready" && cond["status"] == "True" && u.GetLabels()[kube.VersionLabel] == version && u.GetDeletionTimestamp() == nil {
					good++
				}
			}
		}
		return good == 3 && all == 3, fmt.Sprintf("%d of %d pods", good, all)
	}))
}

func conditions(object map[string]any) []map[string]any {
	status, _ := object["status"].(map[string]any)
	list, _ := status["conditions"].([]any)
	var all []map[string]any
	for _, c := range list {
		if m, ok := c.(map[string]any); ok {
			all = append(all, m)
		}
	}
	return all
}

// busiest is the node that most of the pods are on.
func (c *cluster) busiest() string {
	pods, err := c.kube.CoreV1().Pods(shop).List(c.Context(), metav1.ListOptions{})
	c.must(err)
	count := map[string]int{}
	for _, p := range pods.Items {
		count[p.Spec.NodeName]++
	}
	return slices.MaxFunc(slices.Sorted(maps.Keys(count)), func(x, y string) int { return count[x] - count[y] })
}

func (c *cluster) events() []history.Event {
	c.Helper()
	h, err := history.Open(c.dir)
	c.must(err)
	var all []history.Event
	for e, err := range h.Events() {
		c.must(err)
		all = append(all, e)
	}
	return all
}

func TestOnARealCluster(t *testing.T) {
	c := realCluster(t)
	nodes, err := c.kube.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	c.must(err)
	c.workload(pauseImage(t, nodes.Items))
	c.awaitReady("v1")

	c.perform(disrupt.Release{Namespace: shop, Kind: "Deployment", Workload: "vault", Version: "v2", Labels: map[string]string{"note": "new"}, Revert: true})
	c.awaitReady("v2")
	for _, how := range []disrupt.How{disrupt.Killed, disrupt.ForceDeleted, disrupt.Deleted} {
		c.perform(disrupt.KillPod{Namespace: shop, Selector: "app=vault", How: how})
		c.awaitReady("v2")
	}
	c.perform(disrupt.Drain{Node: c.busiest(), Retry: 500 * time.Millisecond, Budget: 3 * time.Minute})
	c.must(c.env.Heal(context.Background()))
	c.awaitReady("v1")

	c.loseTheAPIServer(nodes.Items)
	c.must(c.obs.Stop())
	c.judge()
}

// loseTheAPIServer kills the API server's process, changes something as soon as there is one again, and waits until it is seen.
func (c *cluster) loseTheAPIServer(nodes []corev1.Node) {
	i := slices.IndexFunc(nodes, func(n corev1.Node) bool { _, ok := n.Labels["node-role.kubernetes.io/control-plane"]; return ok })
	out, err := inContainers{}.NodeExec(c.Context(), nodes[i].Name, "pkill", "-9", "kube-apiserver")
	c.Logf("kill -9 of kube-apiserver: %s %v", out, err)
	c.must(err)
	deadline := time.Now().Add(2 * time.Minute)
	for {
		err := c.kube.CoreV1().Pods(shop).DeleteCollection(c.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "app=vault"})
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			c.Fatalf("the API server did not come back: %v", err)
		}
	}
	c.awaitReady("v1")
}

// judge looks whether the record says what happened.
func (c *cluster) judge() {
	phases, answers, evicted, gaps := map[string]int{}, map[int]int{}, map[string]bool{}, 0
	for _, e := range c.events() {
		switch {
		case e.Disturbance != nil:
			phases[e.Disturbance.Name+" "+string(e.Disturbance.Phase)]++
			c.Logf("%8s %s %s %v", e.At.Round(time.Millisecond), e.Disturbance.ID, e.Disturbance.Phase, e.Disturbance.Evidence)
		case e.Eviction != nil:
			answers[e.Eviction.Code]++
		case e.Gap != nil:
			gaps++
			c.Logf("gap of %s from %s to %s, lost %v: %s", e.Gap.Resource, e.Gap.From.Round(time.Millisecond), e.Gap.To.Round(time.Millisecond), e.Gap.Lost, e.Gap.Why)
		case e.Change != nil && e.Change.Resource == "pods" && strings.Contains(string(e.Change.Object), "EvictionByEvictionAPI"):
			evicted[e.Change.UID] = true
		}
	}
	c.Logf("phases %v, answers to evictions %v, %d pods of ours seen evicted, %d gaps", phases, answers, len(evicted), gaps)
	for _, name := range []string{"release", "killed", "force-deleted", "deleted", "drain"} {
		for _, phase := range []history.Phase{history.Began, history.Landed, history.Healed} {
			if phases[name+" "+string(phase)] != 1 {
				c.Errorf("%s %s is recorded %d times", name, phase, phases[name+" "+string(phase)])
			}
		}
	}
	if answers[201] == 0 || len(evicted) == 0 || answers[429] == 0 {
		c.Errorf("answers %v and %d pods seen evicted: want both answers, for two pods of one budget were on the node", answers, len(evicted))
	}
	if gaps == 0 {
		c.Error("the API server was killed and there is no gap")
	}
}

// pauseImage is the image of pods that do nothing, which every node has.
func pauseImage(t *testing.T, nodes []corev1.Node) string {
	t.Helper()
	for _, image := range nodes[0].Status.Images {
		for _, name := range image.Names {
			if strings.Contains(name, "/pause:") {
				return name
			}
		}
	}
	t.Fatal("no node has the pause image")
	return ""
}
