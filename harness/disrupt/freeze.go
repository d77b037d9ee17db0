package disrupt

import (
	"context"
	"fmt"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/wait"
)

// Freeze stops the first process of one pod's container for a time and lets it go on, as a node that is out of breath does: connections
// stay, and nobody answers. The pod is the one named, or the one that Choose finds, or else the first by name of the Ready ones that Selector selects.
type Freeze struct {
	Namespace string
	Pod       string
	Selector  string // of labels
	Choose    Choose
	Role      string        // with Choose: what that pod is, for people, e.g. leader
	Container string        // default the first
	For       time.Duration // how long it is stopped
}

// Name is freeze.
func (Freeze) Name() string { return "freeze" }

// Target names the pod, or how it is selected, and for how long it stands still.
func (f Freeze) Target() string {
	return fmt.Sprintf("%s for %v", f.which(), f.For)
}

func (f Freeze) which() which { return which{f.Namespace, f.Pod, f.Selector, f.Role, f.Choose} }

// Namespaces is the pod's.
func (f Freeze) Namespaces(context.Context, *Env) ([]string, error) {
	if err := f.which().valid(); err != nil {
		return nil, err
	}
	if f.For <= 0 {
		return nil, fmt.Errorf("freeze for %v: want more than 0", f.For)
	}
	return []string{f.Namespace}, nil
}

// freezeBound is how long a process may take to be seen stopped, or to go on.
const freezeBound = 10 * time.Second

// Do stops the process, waits, and lets it go on. Healing lets it go on too: whatever ended the wait, it does not stay stopped.
func (f Freeze) Do(ctx context.Context, a *Act) ([]history.Evidence, error) {
	pod, err := f.which().find(ctx, a.Env)
	if err != nil {
		return nil, err
	}
	p, err := a.process(ctx, pod, f.Container)
	if err != nil {
		return nil, err
	}
	a.OnHeal("let "+p.String()+" go on", 2*freezeBound, func(ctx context.Context) ([]history.Evidence, error) { return a.thaw(ctx, p) })
	a.touchPod(pod, history.Restarts) // as a liveness probe has it that waits in vain
	if err := p.signal(ctx, "-STOP"); err != nil {
		return nil, err
	}
	frozen, err := a.awaitState(ctx, p, "to be stopped", func(state string) bool { return state == stopped })
	if err != nil {
		return nil, err
	}
	if err := wait.Pause(ctx, f.For); err != nil {
		return frozen, err
	}
	thawed, err := a.thaw(ctx, p)
	return append(frozen, thawed...), err
}

// thaw lets a process go on.
func (a *Act) thaw(ctx context.Context, p process) ([]history.Evidence, error) {
	if err := p.signal(ctx, "-CONT"); err != nil {
		return nil, err
	}
	return a.awaitState(ctx, p, "to go on", func(state string) bool { return state != stopped })
}

func (a *Act) awaitState(ctx context.Context, p process, what string, want func(state string) bool) ([]history.Evidence, error) {
	var saw string
	err := a.await(ctx, p.String()+" "+what, freezeBound, func(ctx context.Context) (bool, string, error) {
		state, err := p.state(ctx)
		saw = "state " + state
		return err == nil && want(state), saw, err
	})
	return []history.Evidence{{What: p.String(), Saw: saw}}, err
}
