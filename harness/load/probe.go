package load

import (
	"context"
	"errors"
	"sync"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/probe"
)

// Probe is load that runs beside the acts of a scenario, until it is stopped.
type Probe struct {
	Arms []Arm
	Plan Plan // its length is left open: the acts say how long
}

// Name is load.
func (Probe) Name() string { return history.ProbeLoad }

// Start begins the load. It ends by itself when the path to the cluster is lost, see PathLostError, when the record can no longer be written,
// and at the end of a recording that is not looped.
func (p Probe) Start(ctx context.Context, rec *history.Recorder) (probe.Running, error) {
	generator, err := New(rec, p.Arms)
	if err != nil {
		return nil, err
	}
	p.Plan.Length = 0
	release := CatchLog(p.Arms, p.Plan)
	window, err := generator.Start(context.WithoutCancel(ctx), p.Plan)
	if err != nil {
		return nil, errors.Join(err, release(rec))
	}
	return &atWork{Window: window, ended: sync.OnceValue(func() error { return errors.Join(window.Wait(), release(rec)) })}, nil
}

// atWork is load that runs as a probe.
type atWork struct {
	*Window
	ended func() error
}

// Wait returns when every hit has ended and is recorded.
func (w *atWork) Wait() error { return w.ended() }

// Status adds up the arms, but for those that go to what nothing disturbs.
func (w *atWork) Status() probe.Status {
	all := probe.Status{Unit: "hits"}
	for _, arm := range w.gen.Status() {
		if arm.Control {
			continue
		}
		all.Sent, all.Failed, all.Unsent = all.Sent+arm.Sent, all.Failed+arm.Failed, all.Unsent+arm.Unsent
	}
	return all
}
