package disrupt

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/resource"
)

// Operated is a workload that an operator keeps by an object of a kind of its own. What its members are, and how they are, is for the caller to say.
type Operated struct {
	Workload history.Workload
	Kind     resource.Kind // of the object
	Members  string        // labels that select its pods
	// Whole reports whether the operator says that nothing is left to do, and what it says; nil where Ready members are all there is.
	Whole func(*unstructured.Unstructured) (done bool, saw string)
	// Run names the present run of a member: it is another one when the member was started anew. Nil where the member is its pod and its
	// containers. A server that is started anew within its container needs it.
	Run func(ctx context.Context, e *Env, pod *corev1.Pod) (string, error)
}

// Disturbs is the workload.
func (o Operated) Disturbs() history.Workload { return o.Workload }

func (o Operated) valid() error {
	if o.Workload.Namespace == "" || o.Workload.Name == "" || o.Workload.Kind == "" || o.Kind.Name == "" || o.Members == "" {
		return errors.New("name a workload with its namespace and kind, how it is served, and the labels of its members")
	}
	return nil
}

func (o Operated) api(e *Env) dynamic.ResourceInterface {
	return e.Dynamic.Resource(o.Kind.GVR()).Namespace(o.Workload.Namespace)
}

func (o Operated) get(ctx context.Context, e *Env) (*unstructured.Unstructured, error) {
	u, err := o.api(e).Get(ctx, o.Workload.Name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", o.Workload, err)
	}
	return u, nil
}

// touch says that the act changes the object.
func (o Operated) touch(a *Act, u *unstructured.Unstructured) {
	a.Touch(history.Touch{Effect: history.Changes, Resource: o.Kind.Name, Namespace: u.GetNamespace(), Name: u.GetName(), UID: string(u.GetUID())})
}

// patch writes a merge patch into the object, or a subresource of it, and returns what it is then.
func (o Operated) patch(ctx context.Context, e *Env, patch map[string]any, subresources ...string) (*unstructured.Unstructured, error) {
	data, err := json.Marshal(patch)
	if err != nil {
		return nil, fmt.Errorf("write the patch of %s: %w", o.Workload, err)
	}
	u, err := o.api(e).Patch(ctx, o.Workload.Name, types.MergePatchType, data, metav1.PatchOptions{FieldManager: Manager}, subresources...)
	if err != nil {
		return nil, fmt.Errorf("patch %s: %w", o.Workload, err)
	}
	return u, nil
}

// runOf names the present run of a member.
func (o Operated) runOf(ctx context.Context, e *Env, pod *corev1.Pod) (string, error) {
	if o.Run != nil {
		run, err := o.Run(ctx, e, pod)
		return string(pod.UID) + " " + run, err
	}
	run := string(pod.UID)
	for _, c := range pod.Status.ContainerStatuses {
		run += " " + c.ContainerID
	}
	return run, nil
}

// runs are the present runs of the members. One that is not Ready has none.
func (o Operated) runs(ctx context.Context, e *Env) (pods []corev1.Pod, runs []string, err error) {
	all, err := e.members(ctx, o.Workload.Namespace, o.Members)
	if err != nil {
		return nil, nil, err
	}
	for i := range all {
		if !ready(&all[i]) {
			continue
		}
		run, err := o.runOf(ctx, e, &all[i])
		if err != nil {
			return nil, nil, fmt.Errorf("ask member %s for its run: %w", all[i].Name, err)
		}
		pods, runs = append(pods, all[i]), append(runs, run)
	}
	return pods, runs, nil
}

// whole reports whether as many members are Ready as wanted, and the operator says that nothing is left to do.
func (o Operated) whole(ctx context.Context, e *Env, want int) (bool, string, error) {
	pods, err := e.members(ctx, o.Workload.Namespace, o.Members)
	if err != nil {
		return false, "", err
	}
	able := 0
	for i := range pods {
		if ready(&pods[i]) {
			able++
		}
	}
	saw := fmt.Sprintf("%d of %d members Ready", able, want)
	if o.Whole == nil {
		return able >= want, saw, nil
	}
	u, err := o.get(ctx, e)
	if err != nil {
		return false, saw, err
	}
	done, said := o.Whole(u)
	return able >= want && done, saw + ", " + said, nil
}

// onHeal waits until the workload is whole, after undo where that has something to do.
func (o Operated) onHeal(a *Act, want int, bound time.Duration, undo func(context.Context) error) {
	what := o.Workload.String() + " is whole again"
	a.OnHeal(what, bound, func(ctx context.Context) ([]history.Evidence, error) {
		if undo != nil {
			if err := undo(ctx); err != nil {
				return nil, err
			}
		}
		var saw string
		err := a.await(ctx, what, bound, func(ctx context.Context) (done bool, _ string, err error) {
			done, saw, err = o.whole(ctx, a.Env, want)
			return done, saw, err
		})
		return []history.Evidence{{What: o.Workload.String(), Saw: cmp.Or(saw, "nothing")}}, err
	})
}

// RollOperated changes what an operator's object asks for, so that the operator starts its members anew, one after the other. It has landed when
// every member runs another time than before, and all are Ready and as the operator wants them. Healing puts back what was asked for where it
// has not landed, or where Revert says so, and waits until all is whole.
type RollOperated struct {
	Operated
	Patch  map[string]any // merge patch of the object
	Digest string         // sha256:… that each member must run then; empty where the image stays
	Bound  time.Duration  // to land; default 10 min
	Revert bool
}

// Name is rolling-update.
func (RollOperated) Name() string { return RollName }

// Target names the workload.
func (r RollOperated) Target() string { return r.Workload.String() }

// Namespaces is the workload's.
func (r RollOperated) Namespaces(context.Context, *Env) ([]string, error) {
	if err := r.valid(); err != nil {
		return nil, err
	}
	if len(r.Patch) == 0 {
		return nil, errors.New("name a patch: nothing would be updated")
	}
	return []string{r.Workload.Namespace}, nil
}

// Do patches the object and waits until each member runs anew.
func (r RollOperated) Do(ctx context.Context, a *Act) ([]history.Evidence, error) {
	was, err := r.get(ctx, a.Env)
	if err != nil {
		return nil, err
	}
	before, old, err := r.runs(ctx, a.Env)
	if err != nil {
		return nil, err
	}
	if len(before) == 0 {
		return nil, fmt.Errorf("%s has no Ready member: there is nothing to update", r.Workload)
	}
	r.touch(a, was)
	r.replaces(a, before)
	bound, landed := cmp.Or(r.Bound, rollBound), false
	images := imagesOf(before)
	r.onHeal(a, len(before), bound, func(ctx context.Context) error {
		if landed && !r.Revert {
			return nil
		}
		return r.undo(ctx, a, was, images, landed)
	})
	now, err := r.patch(ctx, a.Env, r.Patch)
	if err != nil {
		return nil, err
	}
	if now.GetGeneration() == was.GetGeneration() {
		return nil, fmt.Errorf("%s asks for this already: nothing would be updated", r.Workload)
	}
	var evidence []history.Evidence
	if err := a.await(ctx, "the members of "+r.Workload.String()+" to run anew", bound, func(ctx context.Context) (done bool, saw string, err error) {
		done, saw, evidence, err = r.rolled(ctx, a.Env, old)
		return done, saw, err
	}); err != nil {
		return nil, err
	}
	landed = true
	return evidence, nil
}

// replaces says that the operator may end each of these members once, or start its containers anew.
func (r RollOperated) replaces(a *Act, members []corev1.Pod) {
	for i := range members {
		a.touchPod(&members[i], history.Replaces)
		a.touchPod(&members[i], history.Restarts)
	}
}

// undo asks for what was asked for before, and waits until the operator has done it: right after it was asked, all is still as whole as it was. After
// an update that landed each member has to run anew; after another one, nobody can tell more than which images they run.
func (r RollOperated) undo(ctx context.Context, a *Act, was *unstructured.Unstructured, images []string, landed bool) error {
	members, err := a.members(ctx, r.Workload.Namespace, r.Members)
	if err != nil {
		return err
	}
	_, old, err := r.runs(ctx, a.Env)
	if err != nil {
		return err
	}
	r.replaces(a, members)
	if _, err = r.patch(ctx, a.Env, inverse(r.Patch, was.Object)); err != nil {
		return err
	}
	return a.await(ctx, "the members of "+r.Workload.String()+" to run as before", cmp.Or(r.Bound, rollBound), func(ctx context.Context) (bool, string, error) {
		if landed {
			back := r
			back.Digest = ""
			done, saw, _, err := back.rolled(ctx, a.Env, old)
			return done, saw, err
		}
		now, _, err := r.runs(ctx, a.Env)
		return slices.Equal(imagesOf(now), images), fmt.Sprintf("%d members Ready", len(now)), err
	})
}

// imagesOf are the images that the containers of some pods run, each once.
func imagesOf(pods []corev1.Pod) []string {
	var all []string
	for _, pod := range pods {
		for _, c := range pod.Status.ContainerStatuses {
			all = append(all, c.ImageID)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// rolled reports whether no member runs as before, and all are whole.
func (r RollOperated) rolled(ctx context.Context, e *Env, old []string) (done bool, saw string, evidence []history.Evidence, err error) {
	pods, runs, err := r.runs(ctx, e)
	if err != nil {
		return false, "", nil, err
	}
	fresh := 0
	for i, run := range runs {
		if !slices.Contains(old, run) && hasImage(&pods[i], r.Digest) {
			fresh++
			evidence = append(evidence, history.Evidence{What: "pod " + pods[i].Name, Saw: "Ready, runs anew: " + run})
		}
	}
	done, saw, err = r.whole(ctx, e, len(old))
	saw = fmt.Sprintf("%d of %d members run anew; %s", fresh, len(old), saw)
	return done && fresh == len(old) && len(runs) == len(old), saw, evidence, err
}

// hasImage reports whether a container of a pod was started from the image of a digest; any image is of an empty one.
func hasImage(pod *corev1.Pod, digest string) bool {
	return slices.ContainsFunc(pod.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool { return strings.Contains(c.ImageID, digest) })
}

// inverse is the merge patch that puts back what another one changes (RFC 7396).
func inverse(patch, was map[string]any) map[string]any {
	back := map[string]any{}
	for k, v := range patch {
		old, there := was[k]
		inner, nested := v.(map[string]any)
		outer, is := old.(map[string]any)
		switch {
		case nested && is:
			back[k] = inverse(inner, outer)
		case there:
			back[k] = old
		default:
			back[k] = nil
		}
	}
	return back
}

// SwitchoverName is the name of a hand-over of the lead that is asked for.
const SwitchoverName = "switchover"

// Switchover asks an operator to hand the lead of its workload over to another member, as the operator's own tool does. It has landed when that
// member leads. Healing waits until all is whole.
type Switchover struct {
	Operated
	Leader Choose // the member that leads now, as the store has it
	// Order is the merge patch of the object's status that asks for the hand-over to a pod at a time.
	Order func(to string, at time.Time) map[string]any
	Bound time.Duration // to land; default 2 min
}

// Name is switchover.
func (Switchover) Name() string { return SwitchoverName }

// Target names the workload.
func (s Switchover) Target() string { return s.Workload.String() }

// Namespaces is the workload's.
func (s Switchover) Namespaces(context.Context, *Env) ([]string, error) {
	if err := s.valid(); err != nil {
		return nil, err
	}
	if s.Leader == nil || s.Order == nil {
		return nil, errors.New("say how the leader is found, and how the hand-over is asked for")
	}
	return []string{s.Workload.Namespace}, nil
}

// Do asks for the hand-over to the first by name of the other Ready members, and waits until it leads.
func (s Switchover) Do(ctx context.Context, a *Act) ([]history.Evidence, error) {
	u, err := s.get(ctx, a.Env)
	if err != nil {
		return nil, err
	}
	leader := which{namespace: s.Workload.Namespace, role: "leader", choose: s.Leader}
	from, err := leader.find(ctx, a.Env)
	if err != nil {
		return nil, err
	}
	members, err := a.members(ctx, s.Workload.Namespace, s.Members)
	if err != nil {
		return nil, err
	}
	next := slices.IndexFunc(members, func(p corev1.Pod) bool { return p.UID != from.UID && ready(&p) })
	if next < 0 {
		return nil, fmt.Errorf("%s has no other Ready member than its leader %s, of %d: there is nobody to hand over to", s.Workload, from.Name, len(members))
	}
	to := &members[next]
	s.touch(a, u)
	a.touchPod(from, history.Restarts) // the one that led may be started anew, to follow
	bound := cmp.Or(s.Bound, 2*time.Minute)
	s.onHeal(a, len(members), workloadBound, nil)
	asked := time.Now()
	if _, err := s.patch(ctx, a.Env, map[string]any{"status": s.Order(to.Name, asked)}, "status"); err != nil {
		return nil, err
	}
	if err := a.await(ctx, fmt.Sprintf("pod %s to lead %s", to.Name, s.Workload), bound, func(ctx context.Context) (bool, string, error) {
		now, err := leader.find(ctx, a.Env)
		if err != nil {
			return false, "", err
		}
		return now.UID == to.UID, "pod " + now.Name + " leads", nil
	}); err != nil {
		return nil, err
	}
	return []history.Evidence{
		{What: "leader of " + s.Workload.String(), Saw: fmt.Sprintf("pod %s, uid %s, %s after it was asked for; before pod %s, uid %s", to.Name, to.UID,
			time.Since(asked).Round(time.Millisecond), from.Name, from.UID)},
	}, nil
}
