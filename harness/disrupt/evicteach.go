package disrupt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/words"
)

// EvictEach asks at once for the eviction of every member of a workload, as drains of all their nodes would, and again as long as a budget refuses.
// The nodes stay as they are: a member whose volume is on its node comes back there. It has landed when every member that was there is gone.
type EvictEach struct {
	Workload history.Workload // that has the members
	Selector string           // of the members' labels
	Budget   time.Duration    // for all of it; default 5 min
	Retry    time.Duration    // between two tries of one member; 0: as long as the API server says, else 5 s
}

// Name is evict-each.
func (EvictEach) Name() string { return "evict-each" }

// Target is the workload.
func (d EvictEach) Target() string { return "the members of " + d.Workload.String() }

// Disturbs is the workload.
func (d EvictEach) Disturbs() history.Workload { return d.Workload }

// Namespaces is that of the workload.
func (d EvictEach) Namespaces(context.Context, *Env) ([]string, error) {
	if d.Workload.Namespace == "" || d.Selector == "" {
		return nil, errors.New("name a workload with its namespace, and what selects its members")
	}
	return []string{d.Workload.Namespace}, nil
}

// Do evicts all members.
func (d EvictEach) Do(ctx context.Context, a *Act) ([]history.Evidence, error) {
	budget := cmp.Or(d.Budget, 5*time.Minute)
	ctx, cancel := context.WithTimeoutCause(ctx, budget, fmt.Errorf("not within %s", words.Span(budget)))
	defer cancel()
	pods, err := a.members(ctx, d.Workload.Namespace, d.Selector)
	if err != nil {
		return nil, err
	}
	if len(pods) < 2 {
		return nil, fmt.Errorf("%s has %d members: want at least two, of which one must wait for another", d.Workload, len(pods))
	}
	if err := a.healWorkload(ctx, &pods[0]); err != nil {
		return nil, err
	}
	evidence, errs := make([]history.Evidence, len(pods)), make([]error, len(pods))
	var all sync.WaitGroup
	for i := range pods {
		all.Go(func() { evidence[i], errs[i] = d.remove(ctx, a, &pods[i], budget) })
	}
	all.Wait()
	return evidence, errors.Join(errs...)
}

// remove evicts one member, and waits until it is gone.
func (d EvictEach) remove(ctx context.Context, a *Act, pod *corev1.Pod, bound time.Duration) (history.Evidence, error) {
	refusals, granted, err := a.evictUntilGranted(ctx, pod, d.Retry)
	switch {
	case err != nil:
		return history.Evidence{}, err
	case !granted:
		return history.Evidence{}, fmt.Errorf("pod %s went by other hands before it was evicted", pod.Name)
	}
	if err := a.await(ctx, "the end of pod "+pod.Name, bound, func(ctx context.Context) (bool, string, error) { return a.gone(ctx, pod) }); err != nil {
		return history.Evidence{}, err
	}
	return history.Evidence{What: "pod " + pod.Namespace + "/" + pod.Name, Saw: fmt.Sprintf("uid %s is gone, evicted after %d refusals", pod.UID, refusals)}, nil
}
