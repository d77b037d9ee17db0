package kind

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"

	"bitvault.dev/rollproof/harness/progress"
	"bitvault.dev/rollproof/harness/words"
)

// limits bound the readiness checks. They are far above what a healthy cluster takes (1-15 s each here): they bound, they do not judge.
type limits struct {
	nodes time.Duration // until all nodes are Ready
	pods  time.Duration // until a pod is ready, with pulling its image
	check time.Duration // until an answer is right
	gone  time.Duration // until the address of a gone pod refuses
	clean time.Duration // until everything the checks made is gone
	exec  time.Duration // one command in a pod
}

var defaultLimits = limits{
	nodes: 90 * time.Second, pods: 90 * time.Second, check: 60 * time.Second, gone: 30 * time.Second, clean: 60 * time.Second,
	exec: 20 * time.Second,
}

const (
	dialTimeout = 5 * time.Second // a dial that nobody answers is given up after this, and is a hang
	// refusalTimeout bounds a dial of a pod that is gone: slower than a second is no refusal, so there is nothing to wait for.
	refusalTimeout = 1500 * time.Millisecond
	readyNamespace = "rollproof-readiness-"
	probeBinary    = "/usr/local/bin/probe"
	probePort      = 8080

	probeServiceName = "probe"
)

// Result is the outcome of one readiness check.
type Result struct {
	Name     string  `json:"name"`
	Passed   bool    `json:"passed"`
	Seconds  float64 `json:"seconds"`         // until it passed or was given up
	Evidence string  `json:"evidence"`        // what was seen that made it pass
	Error    string  `json:"error,omitempty"` // what was seen last when it did not
}

// check is one readiness check. run returns what it saw as evidence.
type check struct {
	name string
	run  func(ctx context.Context, p *proving) (evidence string, err error)
}

// checks run side by side; each polls for what it needs.
var checks = []check{
	{"nodes ready", nodesReady},
	{"dns answers", dnsAnswers},
	{"pod to pod", podToPod},
	{"volume binds", volumeBinds},
	{"node port answers", nodePortAnswers},
	{"gone pod refuses", gonePodRefuses},
}

// proving is what the checks of one cluster share.
type proving struct {
	cluster   *Cluster
	namespace string
	image     string
	limits    limits
	exec      func(ctx context.Context, pod string, args ...string) (measurement, error)
	pods      func() ([]corev1.Pod, error) // the probe pods, one on each node, once all are ready
}

// checkReadiness runs every check on a cluster and cleans up after them. The error joins what failed; the results are complete either way.
func checkReadiness(ctx context.Context, c *Cluster, image string, display *progress.Display) ([]Result, error) {
	step := display.Start("readiness checks")
	p := &proving{cluster: c, image: image, limits: defaultLimits, namespace: readyNamespace + newRunID()}
	p.exec = p.execProbe
	results, err := runChecks(ctx, p, checks, step.Say)
	return results, step.Done(err)
}

func runChecks(ctx context.Context, p *proving, checks []check, say func(string, ...any)) (results []Result, err error) {
	if err := p.setUp(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("set up readiness checks: %w", err), p.cleanUp(ctx))
	}
	defer func() { err = errors.Join(err, p.cleanUp(ctx)) }()
	p.pods = sync.OnceValues(func() ([]corev1.Pod, error) { return p.listProbePods(ctx) })
	return runAll(ctx, p, checks, say)
}

// runAll runs checks side by side. All run to their end, so that a report shows every one that fails, not just the first.
func runAll(ctx context.Context, p *proving, checks []check, say func(string, ...any)) ([]Result, error) {
	results := make([]Result, len(checks))
	failures := make([]error, len(checks))
	var group errgroup.Group
	for i, check := range checks {
		group.Go(func() error {
			began := time.Now()
			evidence, err := check.run(ctx, p)
			results[i] = Result{Name: check.name, Passed: err == nil, Seconds: time.Since(began).Seconds(), Evidence: evidence}
			if err != nil {
				failures[i] = fmt.Errorf("check %q: %w", check.name, err)
				results[i].Error = words.OneLine(err.Error())
			}
			say("%s: %s", check.name, outcomeLine(results[i]))
			return nil
		})
	}
	_ = group.Wait() // its functions return no error: failures holds them
	return results, oneError(failures)
}

func outcomeLine(r Result) string {
	if r.Passed {
		return "passed, " + r.Evidence
	}
	return "failed, " + r.Error
}

// oneError joins errors on one line: what the user sees is one message.
func oneError(all []error) error {
	var texts []string
	var first error
	for _, err := range all {
		if err == nil {
			continue
		}
		if first == nil {
			first = err
		}
		texts = append(texts, words.OneLine(err.Error()))
	}
	if len(texts) <= 1 {
		return first
	}
	return fmt.Errorf("%d readiness checks failed: %s", len(texts), strings.Join(texts, "; "))
}

// setUp makes a namespace with a probe pod on each node.
func (p *proving) setUp(ctx context.Context) error {
	client := p.cluster.Client
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: p.namespace, Labels: map[string]string{LabelOwner: "readiness"}}}
	if _, err := client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("make namespace %s: %w", p.namespace, err)
	}
	if _, err := client.AppsV1().DaemonSets(p.namespace).Create(ctx, probeDaemonSet(p.image), metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("make probe pods: %w", err)
	}
	return nil
}

// cleanUp removes all that the checks made, also after a cancel. Pods and claims go before their namespace: claims are protected while a pod
// uses them, and the controller that empties a namespace looks again only after half of 15 s.
func (p *proving) cleanUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*p.limits.clean)
	defer cancel()
	core := p.cluster.Client.CoreV1()
	now, all := metav1.DeleteOptions{}, metav1.ListOptions{}
	// the next one to want its node port must not find it taken
	if err := core.Services(p.namespace).Delete(ctx, probeServiceName, now); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove the Service of the readiness checks: %w", err)
	}
	empty := func(ctx context.Context) (bool, string) {
		err := errors.Join(
			p.cluster.Client.AppsV1().DaemonSets(p.namespace).DeleteCollection(ctx, now, all),
			core.Pods(p.namespace).DeleteCollection(ctx, now, all),
			core.PersistentVolumeClaims(p.namespace).DeleteCollection(ctx, now, all))
		pods, podsErr := core.Pods(p.namespace).List(ctx, all)
		claims, claimsErr := core.PersistentVolumeClaims(p.namespace).List(ctx, all)
		if err := errors.Join(err, podsErr, claimsErr); err != nil {
			return false, words.OneLine(err.Error())
		}
		return len(pods.Items)+len(claims.Items) == 0, fmt.Sprintf("%d pods and %d claims left", len(pods.Items), len(claims.Items))
	}
	if err := poll(ctx, "pods of the readiness checks gone", p.limits.clean, empty); err != nil {
		return err
	}
	// What ran is gone. The empty namespace goes by itself; waiting for it would also wait for any API service that does not answer.
	if err := core.Namespaces().Delete(ctx, p.namespace, now); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove namespace %s of the readiness checks: %w", p.namespace, err)
	}
	return nil
}

func (p *proving) listProbePods(ctx context.Context) ([]corev1.Pod, error) {
	var pods []corev1.Pod
	err := poll(ctx, "a probe pod on each node", p.limits.pods, func(ctx context.Context) (bool, string) {
		nodes, err := p.cluster.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, words.OneLine(err.Error())
		}
		if p.cluster.nodes > 0 && len(nodes.Items) != p.cluster.nodes {
			return false, fmt.Sprintf("%d nodes of %d", len(nodes.Items), p.cluster.nodes)
		}
		found, err := p.cluster.Client.CoreV1().Pods(p.namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=probe"})
		if err != nil {
			return false, words.OneLine(err.Error())
		}
		pods = found.Items
		return judgePods(pods, len(nodes.Items))
	})
	return pods, err
}

// execProbe runs one check of the probe image inside a pod. An exit code of 1 means that the check failed, which is an outcome and no error.
func (p *proving) execProbe(ctx context.Context, pod string, args ...string) (measurement, error) {
	ctx, cancel := context.WithTimeout(ctx, p.limits.exec)
	defer cancel()
	request := p.cluster.Client.CoreV1().RESTClient().Post().Namespace(p.namespace).Resource("pods").Name(pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Command: append([]string{probeBinary}, args...), Stdout: true, Stderr: true}, scheme.ParameterCodec)
	executor, err := remotecommand.NewWebSocketExecutor(p.cluster.Config, "GET", request.URL().String())
	if err != nil {
		return measurement{}, fmt.Errorf("exec in pod %s: %w", pod, err)
	}
	var stdout, stderr bytes.Buffer
	runErr := executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &stdout, Stderr: &stderr})
	m, err := parseMeasurement(stdout.String())
	if err != nil {
		return m, fmt.Errorf("exec %s in pod %s: %w: %v %s", strings.Join(args, " "), pod, err, runErr, strings.TrimSpace(stderr.String()))
	}
	return m, nil
}

// waitNodesReady waits until every node is Ready.
func (c *Cluster) waitNodesReady(ctx context.Context, limit time.Duration) error {
	_, err := nodesReadyWithin(ctx, c, limit)
	return err
}
