package disrupt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/kube"
	"bitvault.dev/rollproof/harness/wait"
)

// Disturbance is a fault or a release, as a value of a scenario.
type Disturbance interface {
	// Name says what kind it is, e.g. drain. It is what a run's plan and the record call it.
	Name() string
	// Target says what is disturbed, for people.
	Target() string
	// Namespaces names those that would be disturbed; the guard must allow each, or the nodes that they lose pods on. It only reads.
	Namespaces(ctx context.Context, e *Env) ([]string, error)
	// Do disturbs and returns what it saw of it. Whatever must be undone is first given to a.OnHeal.
	Do(ctx context.Context, a *Act) ([]history.Evidence, error)
}

// Targeted is a Disturbance of one workload.
type Targeted interface {
	Disturbs() history.Workload
}

// Injecting is a Targeted one that releases a version which is bad on purpose. What that version of the workload answers wrongly is
// injected.
type Injecting interface {
	Targeted
	// Injects is the version, and how its answers are bad. The version is empty where it is a good one.
	Injects() (version string, fault history.Fault)
}

// Picking is a Disturbance of nodes that it picks when it begins. One that knows them before has a method Nodes instead, see Nodes.
type Picking interface {
	PickNodes(ctx context.Context, e *Env) ([]string, error)
}

// Guard decides what may be disturbed; the error says why not. A site.Guard is one.
type Guard interface {
	// Allow decides over the pods and workloads of a namespace.
	Allow(ctx context.Context, namespace string) error
	// AllowNode decides over a node. evictable are the namespaces that have pods on it which a drain would evict.
	AllowNode(ctx context.Context, node string, evictable []string) error
}

// GuardFunc is a function as a Guard of namespaces. A node may be disturbed where each namespace may that would lose a pod.
type GuardFunc func(ctx context.Context, namespace string) error

// Allow calls f.
func (f GuardFunc) Allow(ctx context.Context, namespace string) error { return f(ctx, namespace) }

// AllowNode calls f for each namespace.
func (f GuardFunc) AllowNode(ctx context.Context, _ string, evictable []string) error {
	for _, namespace := range evictable {
		if err := f(ctx, namespace); err != nil {
			return err
		}
	}
	return nil
}

// NodeExec runs a command as root on a node and returns its standard output.
type NodeExec interface {
	NodeExec(ctx context.Context, node string, cmd ...string) ([]byte, error)
}

// Recorder takes events; a history.Recorder is one.
type Recorder interface {
	Append(history.Event) error
}

// Env is the cluster that is disturbed, and what is needed for it. Its methods are safe for concurrent use.
type Env struct {
	Kube    kubernetes.Interface
	Dynamic dynamic.Interface
	Record  Recorder
	Guard   Guard         // nil refuses everything
	Nodes   NodeExec      // nil where nodes cannot be reached: what acts on processes needs it
	Power   NodePower     // nil where nodes cannot be stopped: StopNode needs it
	Poll    time.Duration // between two looks; default 200 ms

	mu      sync.Mutex
	acts    int
	healers []healer
}

// NewEnv makes the clients for a cluster. Theirs is no limit of requests: a late eviction would be another fault.
func NewEnv(conf *rest.Config, record Recorder, guard Guard, nodes NodeExec) (*Env, error) {
	conf = rest.CopyConfig(conf)
	conf.QPS, conf.Timeout = -1, 0
	kube, err := kubernetes.NewForConfig(conf)
	if err != nil {
		return nil, fmt.Errorf("make a client to disturb the cluster with: %w", err)
	}
	dyn, err := dynamic.NewForConfig(conf)
	if err != nil {
		return nil, fmt.Errorf("make a client to disturb the cluster with: %w", err)
	}
	return &Env{Kube: kube, Dynamic: dyn, Record: record, Guard: guard, Nodes: nodes}, nil
}

// Act is one performance of a disturbance.
type Act struct {
	*Env
	ID string // of history.Disturbance

	name, target, injects string
	fault                 history.Fault
	nodes                 []string
	workload              history.Workload
	hash                  string
	touched               []history.Touch
}

type healer struct {
	act   *Act
	what  string
	bound time.Duration
	heal  func(context.Context) ([]history.Evidence, error)
}

// OnHeal puts something to undo on the stack that Env.Heal unwinds. Call it before doing what it undoes, so heal must bear that
// it was never done. heal has bound to come true, and returns what it saw.
func (a *Act) OnHeal(what string, bound time.Duration, heal func(ctx context.Context) ([]history.Evidence, error)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.healers = append(a.healers, healer{a, what, bound, heal})
}

// Touch says that the act is about to change an object itself. What is seen to become of an object that no act told of is taken for the work of
// somebody else. Write objects as Manager.
func (a *Act) Touch(t history.Touch) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.touched = append(a.touched, t)
}

// aim says which nodes are themselves disturbed, where that was not known before it began.
func (a *Act) aim(nodes ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.nodes = nodes
}

func (a *Act) touchPod(pod *corev1.Pod, effect history.Effect) {
	a.Touch(history.Touch{Effect: effect, Resource: "pods", Namespace: pod.Namespace, Name: pod.Name, UID: string(pod.UID)})
}

func (a *Act) touchPods(pods []corev1.Pod, effect history.Effect) {
	for i := range pods {
		a.touchPod(&pods[i], effect)
	}
}

// touchNode says that the act cordons or uncordons a node.
func (a *Act) touchNode(name string) {
	a.Touch(history.Touch{Effect: history.Changes, Resource: "nodes", Name: name})
}

// Manager is the field manager that acts write objects as.
const Manager = history.DisturbanceManager

// Perform asks the guard, disturbs, and records that it began and that it landed or failed. A panic is recorded and goes on. Whatever
// the outcome, Env.Heal is due.
func (e *Env) Perform(ctx context.Context, d Disturbance) error {
	if err := e.allow(ctx, d); err != nil {
		return fmt.Errorf("%s of %s: not begun: %w", d.Name(), d.Target(), err)
	}
	a := e.newAct(d)
	if err := a.record(history.Began); err != nil {
		return fmt.Errorf("%s of %s: not begun: %w", d.Name(), d.Target(), err)
	}
	evidence, err := a.do(ctx, d)
	if err == nil && !proves(evidence) {
		err = fmt.Errorf("nothing shows that it happened: evidence %v", evidence)
	}
	if err != nil {
		err = fmt.Errorf("%s of %s: %w", d.Name(), d.Target(), err)
		return errors.Join(err, a.record(history.Failed, append(evidence, history.Evidence{What: "error", Saw: err.Error()})...))
	}
	return a.record(history.Landed, evidence...)
}

func (a *Act) do(ctx context.Context, d Disturbance) ([]history.Evidence, error) {
	defer func() {
		if p := recover(); p != nil {
			_ = a.record(history.Failed, history.Evidence{What: "panic", Saw: fmt.Sprint(p)}) // the panic is what is told
			panic(p)
		}
	}()
	return d.Do(ctx, a)
}

// proves reports whether there is evidence and all of it says what was looked at and what was seen.
func proves(evidence []history.Evidence) bool {
	return len(evidence) > 0 && !slices.ContainsFunc(evidence, func(e history.Evidence) bool { return e.What == "" || e.Saw == "" })
}

func (e *Env) allow(ctx context.Context, d Disturbance) error {
	if e.Guard == nil {
		return errors.New("there is no guard to allow it")
	}
	namespaces, err := d.Namespaces(ctx, e)
	if err != nil {
		return err
	}
	if len(namespaces) == 0 {
		return errors.New("it names no namespace that the guard could allow")
	}
	nodes, err := pickedNodes(ctx, e, d)
	if err != nil {
		return err
	}
	for _, node := range nodes {
		evictable, err := e.allowedNode(ctx, node)
		if err != nil {
			return err
		}
		// Leave for a node is leave for what a drain of it evicts.
		namespaces = slices.DeleteFunc(namespaces, func(ns string) bool { return slices.Contains(evictable, ns) })
	}
	return e.allowed(ctx, namespaces)
}

// pickedNodes are the nodes that a disturbance is aimed at themselves, now.
func pickedNodes(ctx context.Context, e *Env, d Disturbance) ([]string, error) {
	if picking, ok := d.(Picking); ok {
		return picking.PickNodes(ctx, e)
	}
	return Nodes(d), nil
}

// allowedNode asks the guard for a node, and returns the namespaces of the pods that a drain would evict from it.
func (e *Env) allowedNode(ctx context.Context, node string) (evictable []string, err error) {
	list, err := e.podsOn(ctx, node)
	if err != nil {
		return nil, err
	}
	for i := range list.Items {
		if pod := &list.Items[i]; kube.Evictable(pod) && !slices.Contains(evictable, pod.Namespace) {
			evictable = append(evictable, pod.Namespace)
		}
	}
	if err := e.Guard.AllowNode(ctx, node, evictable); err != nil {
		return nil, fmt.Errorf("the guard refuses node %q: %w", node, err)
	}
	return evictable, nil
}

// podsOn lists the pods of a node.
func (e *Env) podsOn(ctx context.Context, node string) (*corev1.PodList, error) {
	list, err := e.Kube.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + node})
	if err != nil {
		return nil, fmt.Errorf("list the pods of node %s: %w", node, err)
	}
	return list, nil
}

func (e *Env) allowed(ctx context.Context, namespaces []string) error {
	for _, ns := range namespaces {
		if err := e.Guard.Allow(ctx, ns); err != nil {
			return fmt.Errorf("the guard refuses namespace %q: %w", ns, err)
		}
	}
	return nil
}

func (e *Env) newAct(d Disturbance) *Act {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.acts++
	a := &Act{Env: e, ID: fmt.Sprintf("%s-%d", d.Name(), e.acts), name: d.Name(), target: d.Target()}
	a.nodes = Nodes(d)
	if bad, ok := d.(Injecting); ok {
		a.injects, a.fault = bad.Injects()
	}
	if on, ok := d.(Targeted); ok {
		a.workload = on.Disturbs()
	}
	return a
}

// Nodes names the nodes that a disturbance is aimed at themselves, as a disturbance with a method Nodes says.
func Nodes(d Disturbance) []string {
	if aimed, ok := d.(interface{ Nodes() []string }); ok {
		return aimed.Nodes()
	}
	return nil
}

func (a *Act) record(phase history.Phase, evidence ...history.Evidence) error {
	a.mu.Lock()
	touched, nodes := slices.Clone(a.touched), a.nodes
	a.mu.Unlock()
	err := a.Record.Append(history.Event{Kind: history.KindDisturbance, Disturbance: &history.Disturbance{
		ID: a.ID, Name: a.name, Target: a.target, Nodes: nodes, Phase: phase, Evidence: evidence, Workload: a.workload, Injects: a.injects, Fault: a.fault, Hash: a.hash,
		Touched: touched,
	}})
	if err != nil {
		return fmt.Errorf("record that %s %s: %w", a.ID, phase, err)
	}
	return nil
}

// Heal undoes everything that was done and not healed yet, the latest first, and records for each whether it came true. All are
// tried, also when one fails or panics. Give it a context that a Ctrl-C has not cancelled. Called again it has nothing to do.
func (e *Env) Heal(ctx context.Context) error {
	var errs []error
	for h, ok := e.pop(); ok; h, ok = e.pop() {
		evidence, err := h.run(ctx)
		if err == nil {
			errs = append(errs, h.act.record(history.Healed, evidence...))
			continue
		}
		err = fmt.Errorf("heal %s of %s: %s: %w", h.act.name, h.act.target, h.what, err)
		errs = append(errs, err, h.act.record(history.Unhealed, append(evidence, history.Evidence{What: h.what, Saw: err.Error()})...))
	}
	return errors.Join(errs...)
}

// Due names what Heal would undo, the latest first, so that a user who stops it knows what is left.
func (e *Env) Due() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var due []string
	for _, h := range slices.Backward(e.healers) {
		due = append(due, fmt.Sprintf("%s of %s: %s", h.act.name, h.act.target, h.what))
	}
	return due
}

func (e *Env) pop() (healer, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.healers) == 0 {
		return healer{}, false
	}
	last := e.healers[len(e.healers)-1]
	e.healers = e.healers[:len(e.healers)-1]
	return last, true
}

func (h healer) run(ctx context.Context) (evidence []history.Evidence, err error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("not tried: %w", context.Cause(ctx))
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, h.bound)
	defer cancel()
	evidence, err = h.heal(ctx)
	if err == nil && !proves(evidence) {
		err = errors.New("nothing shows that it happened")
	}
	return evidence, err
}

// await looks again and again until look is satisfied, at most for bound.
func (e *Env) await(ctx context.Context, what string, bound time.Duration, look wait.Look) error {
	return wait.Until(ctx, what, bound, cmp.Or(e.Poll, 200*time.Millisecond), look)
}
