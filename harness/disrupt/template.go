package disrupt

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"bitvault.dev/rollproof/harness/history"
)

// updateBound is how long others may write the same workload first. Its controller writes the status several times a second while a
// canary moves, so a handful of tries is not always enough.
const updateBound = 30 * time.Second

// onHealTemplate has healing undo a change of a workload's template, as far as undo sees fit, and wait until the workload is whole.
func (a *Act) onHealTemplate(workload string, bound time.Duration, undo func(context.Context) error, whole func(context.Context) (bool, string, error)) {
	a.OnHeal("every pod of "+workload+" is of one template again", bound, func(ctx context.Context) ([]history.Evidence, error) {
		if err := undo(ctx); err != nil {
			return nil, err
		}
		var last string // that was seen without an error
		err := a.await(ctx, workload+" to be whole", bound, func(ctx context.Context) (bool, string, error) {
			done, saw, err := whole(ctx)
			if err == nil {
				last = saw
			}
			return done, saw, err
		})
		return []history.Evidence{{What: workload, Saw: cmp.Or(last, "nothing")}}, err
	})
}

// update changes an object as it is now, again when somebody else did so meanwhile. what names it for people.
func (e *Env) update(ctx context.Context, what string, api dynamic.ResourceInterface, name string, change func(*unstructured.Unstructured) error) error {
	var failed error
	err := e.await(ctx, "an update of "+what+" that nobody forestalls", updateBound, func(ctx context.Context) (bool, string, error) {
		err := tryUpdate(ctx, what, api, name, change)
		if err != nil && (apierrors.IsConflict(err) || ctx.Err() != nil) {
			return false, "", err
		}
		failed = err
		return true, "", nil
	})
	return cmp.Or(err, failed)
}

func tryUpdate(ctx context.Context, what string, api dynamic.ResourceInterface, name string, change func(*unstructured.Unstructured) error) error {
	u, err := api.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("get %s: %w", what, err)
	}
	if err := change(u); err != nil {
		return err
	}
	if _, err := api.Update(ctx, u, metav1.UpdateOptions{FieldManager: Manager}); err != nil {
		return fmt.Errorf("update %s: %w", what, err)
	}
	return nil
}

// editContainer changes a container of a workload's pod template; without a name the first.
func editContainer(u *unstructured.Unstructured, name string, edit func(container map[string]any) error) error {
	what := u.GetKind() + " " + u.GetName()
	containers, _, err := unstructured.NestedSlice(u.Object, "spec", "template", "spec", "containers")
	if err != nil || len(containers) == 0 {
		return fmt.Errorf("%s has no containers in spec.template", what)
	}
	i := 0
	if name != "" {
		i = slices.IndexFunc(containers, func(c any) bool { m, ok := c.(map[string]any); return ok && m["name"] == name })
	}
	if i < 0 {
		return fmt.Errorf("%s has no container %s", what, name)
	}
	container, ok := containers[i].(map[string]any)
	if !ok {
		return fmt.Errorf("container %d of %s is no object", i, what)
	}
	if err := edit(container); err != nil {
		return err
	}
	return unstructured.SetNestedSlice(u.Object, containers, "spec", "template", "spec", "containers")
}
