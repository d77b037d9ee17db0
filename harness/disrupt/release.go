package disrupt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/kube"
	"bitvault.dev/rollproof/harness/words"
)

// Release gives a workload another pod template: another image, other arguments, another version. It has landed when a new
// ReplicaSet has a pod whose container runs. It says nothing of how the rollout goes on.
type Release struct {
	Namespace string
	Kind      string // Rollout (default) or Deployment
	Workload  string
	Version   string // becomes the template's label app.kubernetes.io/version
	Container string // default the first
	Image     string // by digest, name@sha256:…; default unchanged
	// Args are -name=value or -name: each takes the place of the argument of that name, or is added.
	Args   []string
	Labels map[string]string // more labels of the template
	// Annotations are more annotations of the template.
	Annotations map[string]string
	Bound       time.Duration // to land; default 3 min
	// Revert makes healing put the old template back and wait until it is the current one. Without it healing does so too for a Rollout
	// that has not made the release its stable one: one that was given up, or interrupted half-way, is damage; a promoted one is none.
	Revert bool
}

// Regression is a release that is bad on purpose: what its version answers in the way of Fault is recorded as injected. Its Args switch the
// fault on.
type Regression struct {
	Release
	Fault history.Fault
}

// Name is regression.
func (r Regression) Name() string { return "regression" }

// Injects is the version of the workload whose answers are bad, and how they are.
func (r Regression) Injects() (version string, fault history.Fault) { return r.Version, r.Fault }

// Namespaces is the workload's.
func (r Regression) Namespaces(ctx context.Context, e *Env) ([]string, error) {
	switch {
	case len(r.Args) == 0 && r.Image == "":
		return nil, errors.New("a regression without Args or Image switches no fault on")
	case r.Fault.IsZero():
		return nil, errors.New("a regression without a Fault excuses nothing: say which status its answers have, or that they are slow")
	}
	return r.Release.Namespaces(ctx, e)
}

// Name is release.
func (r Release) Name() string { return "release" }

// Target names the workload and the version.
func (r Release) Target() string {
	return fmt.Sprintf("%s %s/%s to %s", strings.ToLower(r.kind()), r.Namespace, r.Workload, r.Version)
}

// Disturbs is the workload that is released.
func (r Release) Disturbs() history.Workload {
	return history.Workload{Namespace: r.Namespace, Kind: r.kind(), Name: r.Workload}
}

// Namespaces is the workload's.
func (r Release) Namespaces(context.Context, *Env) ([]string, error) {
	switch {
	case r.Namespace == "" || r.Workload == "" || r.Version == "":
		return nil, errors.New("name a namespace, a workload and a version")
	case workloads[r.kind()].resource.Resource == "":
		return nil, fmt.Errorf("unknown kind of workload %q: want Rollout or Deployment", r.Kind)
	case r.Image != "" && !strings.Contains(r.Image, "@sha256:"):
		return nil, fmt.Errorf("image %s has no digest: want name@sha256:…, a tag may mean another image tomorrow", r.Image)
	}
	return []string{r.Namespace}, nil
}

func (r Release) kind() string { return cmp.Or(r.Kind, "Rollout") }

// workload is how a kind of workload is reached, and where it numbers its ReplicaSets.
type workload struct {
	resource schema.GroupVersionResource
	revision string // annotation of its ReplicaSets: the highest is the current one
	hash     string // label of its ReplicaSets
}

var workloads = map[string]workload{
	"Rollout": {schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "rollouts"},
		"rollout.argoproj.io/revision", kube.ArgoHashLabel},
	"Deployment": {schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"},
		"deployment.kubernetes.io/revision", appsv1.DefaultDeploymentUniqueLabelKey},
}

func (r Release) api(e *Env) dynamic.ResourceInterface {
	return e.Dynamic.Resource(workloads[r.kind()].resource).Namespace(r.Namespace)
}

// Do changes the template, and waits for another ReplicaSet and a pod of it.
func (r Release) Do(ctx context.Context, a *Act) ([]history.Evidence, error) {
	was, err := r.get(ctx, a.Env)
	if err != nil {
		return nil, err
	}
	before, err := r.current(ctx, a.Env, was)
	if err != nil {
		return nil, err
	}
	a.Touch(history.Touch{Effect: history.Changes, Resource: workloads[r.kind()].resource.Resource, Namespace: r.Namespace, Name: r.Workload,
		UID: string(was.GetUID())})
	if r.Revert || r.kind() == "Rollout" {
		r.onHeal(a, was, before)
	}
	if err := r.apply(ctx, a.Env); err != nil {
		return nil, err
	}
	bound := cmp.Or(r.Bound, 3*time.Minute)
	ctx, cancel := context.WithTimeoutCause(ctx, bound, fmt.Errorf("not within %s", words.Span(bound)))
	defer cancel()
	set, err := r.awaitCurrent(ctx, a.Env, was, bound, func(hash string) bool { return hash != before })
	if err != nil {
		return nil, err
	}
	a.hash = r.hash(set)
	evidence := []history.Evidence{{What: "ReplicaSet " + set.Name, Saw: fmt.Sprintf("pod template hash %s, before %s", r.hash(set), before)}}
	if got := set.Spec.Template.Labels[kube.VersionLabel]; got != r.Version {
		return evidence, fmt.Errorf("the new ReplicaSet %s is of version %q, want %s: somebody else releases too", set.Name, got, r.Version)
	}
	pod, err := r.awaitPod(ctx, a.Env, set, bound)
	if err != nil {
		return evidence, err
	}
	return append(evidence, pod), nil
}

func (r Release) get(ctx context.Context, e *Env) (*unstructured.Unstructured, error) {
	u, err := r.api(e).Get(ctx, r.Workload, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("get %s %s: %w", r.kind(), r.Workload, err)
	}
	return u, nil
}

// update changes the workload as it is now.
func (r Release) update(ctx context.Context, e *Env, change func(*unstructured.Unstructured) error) error {
	return e.update(ctx, r.kind()+" "+r.Workload, r.api(e), r.Workload, change)
}

// apply changes the template of the workload.
func (r Release) apply(ctx context.Context, e *Env) error {
	return r.update(ctx, e, func(u *unstructured.Unstructured) error {
		old := u.DeepCopy()
		if err := r.change(u); err != nil {
			return err
		}
		if reflect.DeepEqual(old.Object, u.Object) {
			return fmt.Errorf("%s %s has this template already: nothing would be released", r.kind(), r.Workload)
		}
		return nil
	})
}

// change writes the release into the template.
func (r Release) change(u *unstructured.Unstructured) error {
	err := editContainer(u, r.Container, func(container map[string]any) error {
		if r.Image != "" {
			container["image"] = r.Image
		}
		return r.changeArgs(container)
	})
	if err != nil {
		return err
	}
	labels := map[string]string{kube.VersionLabel: r.Version}
	maps.Copy(labels, r.Labels)
	for k, v := range labels {
		if err := unstructured.SetNestedField(u.Object, v, "spec", "template", "metadata", "labels", k); err != nil {
			return fmt.Errorf("label the template of %s %s: %w", r.kind(), r.Workload, err)
		}
	}
	for k, v := range r.Annotations {
		if err := unstructured.SetNestedField(u.Object, v, "spec", "template", "metadata", "annotations", k); err != nil {
			return fmt.Errorf("annotate the template of %s %s: %w", r.kind(), r.Workload, err)
		}
	}
	return nil
}

// changeArgs writes the arguments into a container.
func (r Release) changeArgs(container map[string]any) error {
	args, _, err := unstructured.NestedStringSlice(container, "args")
	if err != nil {
		return fmt.Errorf("the arguments of %s %s: %w", r.kind(), r.Workload, err)
	}
	if args, err = setArgs(args, r.Args); err != nil {
		return err
	}
	if told := valueOf(args, "version"); told != "" && told != r.Version {
		return fmt.Errorf("the container is told -version=%s, but this is version %s: add -version=%s to Args", told, r.Version, r.Version)
	}
	if len(args) == 0 {
		return nil
	}
	return unstructured.SetNestedStringSlice(container, args, "args")
}

// setArgs puts each argument in the place of the one of its name, or at the end.
func setArgs(args, set []string) ([]string, error) {
	args = slices.Clone(args)
	for _, s := range set {
		name, _, _ := strings.Cut(s, "=")
		if !strings.HasPrefix(name, "-") {
			return nil, fmt.Errorf("argument %q: want -name or -name=value", s)
		}
		bare := strings.TrimLeft(name, "-")
		i := slices.IndexFunc(args, func(a string) bool {
			n, _, _ := strings.Cut(a, "=")
			return strings.HasPrefix(n, "-") && strings.TrimLeft(n, "-") == bare
		})
		switch {
		case i < 0:
			args = append(args, s)
		case !strings.Contains(args[i], "=") && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-"):
			return nil, fmt.Errorf("argument %s has its value in the next argument: write %s=%s in the workload", args[i], args[i], args[i+1])
		default:
			args[i] = s
		}
	}
	return args, nil
}

func valueOf(args []string, name string) string {
	for _, a := range args {
		if n, value, ok := strings.Cut(a, "="); ok && strings.HasPrefix(n, "-") && strings.TrimLeft(n, "-") == name {
			return value
		}
	}
	return ""
}

// current is the pod template hash of the workload's current ReplicaSet.
func (r Release) current(ctx context.Context, e *Env, of *unstructured.Unstructured) (string, error) {
	set, err := r.newest(ctx, e, of)
	if err != nil {
		return "", err
	}
	if set == nil {
		return "", fmt.Errorf("%s %s has no ReplicaSet yet: there is nothing to replace", r.kind(), r.Workload)
	}
	return r.hash(set), nil
}

func (r Release) hash(set *appsv1.ReplicaSet) string { return set.Labels[workloads[r.kind()].hash] }

func (r Release) newest(ctx context.Context, e *Env, of *unstructured.Unstructured) (*appsv1.ReplicaSet, error) {
	list, err := e.Kube.AppsV1().ReplicaSets(r.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list the ReplicaSets of %s %s: %w", r.kind(), r.Workload, err)
	}
	var newest *appsv1.ReplicaSet
	highest := -1
	for i := range list.Items {
		set := &list.Items[i]
		owner := metav1.GetControllerOf(set)
		if owner == nil || owner.UID != of.GetUID() {
			continue
		}
		number, err := strconv.Atoi(set.Annotations[workloads[r.kind()].revision])
		if err == nil && number > highest {
			newest, highest = set, number
		}
	}
	return newest, nil
}

func (r Release) awaitCurrent(ctx context.Context, e *Env, of *unstructured.Unstructured, bound time.Duration, want func(hash string) bool) (*appsv1.ReplicaSet, error) {
	var set *appsv1.ReplicaSet
	err := e.await(ctx, "the ReplicaSet of the release", bound, func(ctx context.Context) (bool, string, error) {
		newest, err := r.newest(ctx, e, of)
		if err != nil || newest == nil {
			return false, "no ReplicaSet", err
		}
		set = newest
		return want(r.hash(set)), "pod template hash " + r.hash(set), nil
	})
	return set, err
}

// awaitPod waits for a pod of a ReplicaSet whose container was started from the image that was asked for.
func (r Release) awaitPod(ctx context.Context, e *Env, set *appsv1.ReplicaSet, bound time.Duration) (history.Evidence, error) {
	var found history.Evidence
	err := e.await(ctx, "a pod of ReplicaSet "+set.Name, bound, func(ctx context.Context) (bool, string, error) {
		list, err := e.Kube.CoreV1().Pods(r.Namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, "", err
		}
		saw := "no pod"
		for i := range list.Items {
			pod := &list.Items[i]
			if owner := metav1.GetControllerOf(pod); owner == nil || owner.UID != set.UID {
				continue
			}
			var started bool
			if started, saw = r.started(pod); started {
				found = history.Evidence{What: "pod " + pod.Name, Saw: saw}
				return true, saw, nil
			}
		}
		return false, saw, nil
	})
	return found, err
}

func (r Release) started(pod *corev1.Pod) (bool, string) {
	c, ok := kube.Container(pod, cmp.Or(r.Container, pod.Spec.Containers[0].Name))
	saw := fmt.Sprintf("%s, image %q, Ready %v", pod.Status.Phase, c.ImageID, ready(pod))
	if why := kube.Waiting(c); why != "" {
		saw += ", waiting: " + why
	}
	_, digest, _ := strings.Cut(r.Image, "@")
	return ok && c.ContainerID != "" && c.ImageID != "" && strings.Contains(c.ImageID, digest), saw
}

// onHeal puts the old template back, where the release is not there to stay.
func (r Release) onHeal(a *Act, was *unstructured.Unstructured, before string) {
	template, _, _ := unstructured.NestedMap(was.Object, "spec", "template")
	what := "put the old template back"
	if !r.Revert {
		what += ", unless the release is the stable one"
	}
	a.OnHeal(what, workloadBound, func(ctx context.Context) ([]history.Evidence, error) {
		if !r.Revert {
			now, err := r.status(ctx, a.Env)
			if err != nil {
				return nil, err
			}
			if now.Stable != "" && now.Stable != before {
				return []history.Evidence{{What: r.Target(), Saw: "stays: pod template hash " + now.Stable + " is the stable one"}}, nil
			}
		}
		err := r.update(ctx, a.Env, func(u *unstructured.Unstructured) error {
			return unstructured.SetNestedMap(u.Object, template, "spec", "template")
		})
		if err != nil {
			return nil, err
		}
		set, err := r.awaitCurrent(ctx, a.Env, was, workloadBound, func(hash string) bool { return hash == before })
		if err != nil {
			return nil, err
		}
		evidence := []history.Evidence{{What: "ReplicaSet " + set.Name, Saw: "is the current one again, pod template hash " + before}}
		if r.kind() != "Rollout" {
			return evidence, nil
		}
		skipped, err := r.skipCanary(ctx, a.Env, before)
		return append(evidence, skipped...), err
	})
}

// skipCanary has a Rollout that goes back to a template take it at once, where that is not the stable one any more, as `kubectl argo
// rollouts promote --full` does: it was proved good before, and by its steps the bad one would go on answering for as long as a canary takes.
func (r Release) skipCanary(ctx context.Context, e *Env, hash string) ([]history.Evidence, error) {
	var now kube.Rollout
	err := e.await(ctx, "the Rollout to go back", workloadBound, func(ctx context.Context) (bool, string, error) {
		var err error
		now, err = r.status(ctx, e)
		return now.Current == hash, fmt.Sprintf("current pod template hash %q, stable %q", now.Current, now.Stable), err
	})
	if err != nil || now.Stable == hash {
		return nil, err
	}
	_, err = r.api(e).Patch(ctx, r.Workload, types.MergePatchType, []byte(`{"status":{"promoteFull":true}}`), metav1.PatchOptions{FieldManager: Manager}, "status")
	if err != nil {
		return nil, fmt.Errorf("promote the old template of Rollout %s in full: %w", r.Workload, err)
	}
	return []history.Evidence{{What: "rollout " + r.Workload, Saw: "is promoted in full to pod template hash " + hash + ", stable until now was " + now.Stable}}, nil
}

// status is what a Rollout says of its releases. Other kinds have none of it.
func (r Release) status(ctx context.Context, e *Env) (kube.Rollout, error) {
	u, err := r.get(ctx, e)
	if err != nil {
		return kube.Rollout{}, err
	}
	return kube.ReadRollout(u)
}
