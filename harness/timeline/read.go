package timeline

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// Read reads every event of a record. What cannot be read is in Damage.
func Read(h *history.History) (*Timeline, error) {
	b := timelineBuilder{
		t: &Timeline{Run: h.Run(), Broken: Never, Pods: map[string]*Pod{}, named: map[string][]*Pod{}, Damage: h.Damage(), Ended: Never,
			Sum: h.Sum(), Unprotected: h.Unprotected()},
		arms: map[string]*Arm{}, disturbances: map[string]*Disturbance{},
	}
	names, err := h.Arms()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		b.arm(name)
	}
	for e, err := range h.Events() {
		if err != nil {
			b.damage(err) // it comes last
		} else {
			b.add(&e)
		}
	}
	return b.finish(), nil
}

type timelineBuilder struct {
	t            *Timeline
	arms         map[string]*Arm
	disturbances map[string]*Disturbance
	pods         []podChange
}

func (b *timelineBuilder) damage(err error) { b.t.Damage = append(b.t.Damage, AsDamage(err)) }

// AsDamage is the damage that an iterator of a record yielded as an error.
func AsDamage(err error) history.Damage {
	var d *history.Damage
	if errors.As(err, &d) {
		return *d
	}
	return history.Damage{Text: err.Error()}
}

func (b *timelineBuilder) arm(name string) *Arm {
	arm, ok := b.arms[name]
	if !ok {
		arm = &Arm{Name: name}
		b.arms[name] = arm
	}
	return arm
}

// add takes one event. An event without the data its kind promises says nothing; record.complete counts on the others.
func (b *timelineBuilder) add(e *history.Event) {
	b.t.Last = max(b.t.Last, e.At)
	switch {
	case e.Kind == history.KindRun && e.Run != nil:
		b.t.IDs = append(b.t.IDs, e.Run.ID)
	case e.Kind == history.KindWindow && e.Window != nil:
		b.window(e.Window)
	case e.Kind == history.KindBatch && e.Batch != nil:
		if arm := b.arm(e.Batch.Arm); arm.Batch == nil || arm.Batch.Hits < e.Batch.Hits {
			arm.Batch = e.Batch
		}
	case e.Kind == history.KindMilestone && e.Milestone != nil:
		b.t.Milestones = append(b.t.Milestones, Milestone{At: e.At, Milestone: *e.Milestone})
		if e.Milestone.Name == history.BrokenOff {
			b.t.Broken = min(b.t.Broken, e.At)
		}
	case e.Kind == history.KindNote && e.Note != nil:
		b.t.Notes = append(b.t.Notes, Note{At: e.At, Note: *e.Note})
	case e.Kind == history.KindStep && e.Step != nil:
		b.t.Steps = append(b.t.Steps, Step{At: e.At, Step: *e.Step})
	case e.Kind == history.KindDisturbance && e.Disturbance != nil:
		b.disturbance(e.At, e.Disturbance)
	case e.Kind == history.KindChange && e.Change != nil:
		b.change(e, e.Change)
	case e.Kind == history.KindEviction && e.Eviction != nil:
		b.t.Evictions = append(b.t.Evictions, Eviction{At: e.At, Eviction: *e.Eviction})
	case e.Kind == history.KindGap && e.Gap != nil:
		b.t.Gaps = append(b.t.Gaps, *e.Gap)
	case e.Kind == history.KindEnd && e.End != nil:
		b.t.End = e.End
		if b.t.Run.Format > 1 { // the end of format 1 is not held against what it follows: records were made up that end before their hits
			b.t.Ended = e.At
		}
		b.t.Ends++
		for name := range e.End.Hits {
			b.arm(name)
		}
	}
}

func (b *timelineBuilder) change(e *history.Event, c *history.Change) {
	if c.Pod != nil {
		b.pods = append(b.pods, podChange{
			at: e.At, gone: c.Type == "deleted", namespace: c.Namespace, name: c.Name, uid: c.UID, signalled: signalled(e, c.Pod), PodState: *c.Pod,
		})
	}
	b.t.Changes = append(b.t.Changes, Change{At: e.At, Change: *c})
}

// signalled is when the process of a pod got its SIGTERM, on the clock of the run; never when it did not tell.
func signalled(e *history.Event, pod *history.PodState) time.Duration {
	switch {
	case pod.Signalled:
		return e.At
	case !pod.SignalledAt.IsZero():
		return e.At - e.Wall.Sub(pod.SignalledAt)
	}
	return Never
}

func (b *timelineBuilder) window(w *history.Window) {
	arm := b.arm(w.Arm)
	arm.Control, arm.Path = arm.Control || w.Control, arm.Path || w.Path
	if arm.Workload.IsZero() {
		arm.Workload = w.Workload
	}
	known := arm.Window(w.Index)
	switch {
	case known == nil:
		known = &Window{Window: *w}
		arm.Windows = append(arm.Windows, known)
	case w.Ended:
		known.Window = *w
	}
	if w.Ended {
		known.Ends++
	} else {
		known.Announced = true
		known.Begins++
	}
}

func (b *timelineBuilder) disturbance(at time.Duration, e *history.Disturbance) {
	d, ok := b.disturbances[e.ID]
	if !ok {
		d = &Disturbance{ID: e.ID, Name: e.Name, Target: e.Target, Began: Never, Landed: Never, Healed: Never, Failed: Never,
			Unhealed: Never}
		b.disturbances[e.ID] = d
	}
	d.Phases = append(d.Phases, DisturbancePhase{At: at, Phase: e.Phase, Evidence: e.Evidence})
	d.Name, d.Target, d.Injects = cmp.Or(d.Name, e.Name), cmp.Or(d.Target, e.Target), cmp.Or(d.Injects, e.Injects)
	d.Workload, d.Hash, d.Fault = cmp.Or(d.Workload, e.Workload), cmp.Or(d.Hash, e.Hash), cmp.Or(d.Fault, e.Fault)
	if len(d.Nodes) == 0 {
		d.Nodes = e.Nodes
	}
	for _, touch := range e.Touched {
		if !slices.Contains(d.Touched, touch) {
			d.Touched = append(d.Touched, touch)
		}
	}
	switch e.Phase {
	case history.Began:
		d.Begins++
		d.Began = min(d.Began, at)
	case history.Landed:
		d.Landed = min(d.Landed, at)
		d.Evidence = append(d.Evidence, e.Evidence...)
	case history.Healed:
		d.Healed = min(d.Healed, at)
	case history.Failed:
		d.Failed = min(d.Failed, at)
		d.Left = append(d.Left, e.Evidence...)
	case history.Unhealed:
		d.Unhealed = min(d.Unhealed, at)
		d.Left = append(d.Left, e.Evidence...)
	}
}

// finish puts everything into an order that does not depend on the order the events were recorded in.
func (b *timelineBuilder) finish() *Timeline {
	t := b.t
	t.Known = t.Last
	if t.End != nil {
		t.Known = Never
	}
	for _, name := range slices.Sorted(maps.Keys(b.arms)) {
		arm := b.arms[name]
		slices.SortFunc(arm.Windows, func(x, y *Window) int { return cmp.Compare(x.Index, y.Index) })
		for _, w := range arm.Windows {
			if !w.Ended && w.Length == 0 { // without a planned end: it ran as long as anybody can tell
				w.Length = max(0, t.Last-w.Begin)
			}
		}
		t.Arms = append(t.Arms, arm)
	}
	for _, id := range slices.Sorted(maps.Keys(b.disturbances)) {
		d := b.disturbances[id]
		slices.SortStableFunc(d.Phases, func(x, y DisturbancePhase) int { return cmp.Compare(x.At, y.At) })
		t.Disturbances = append(t.Disturbances, d)
	}
	slices.SortStableFunc(t.Disturbances, func(x, y *Disturbance) int { return cmp.Compare(x.Began, y.Began) })
	slices.SortFunc(t.Gaps, func(x, y history.Gap) int {
		return cmp.Or(cmp.Compare(x.From, y.From), cmp.Compare(x.To, y.To), cmp.Compare(x.Resource, y.Resource))
	})
	slices.SortStableFunc(t.Steps, func(x, y Step) int { return cmp.Compare(x.At, y.At) })
	slices.SortStableFunc(b.pods, func(x, y podChange) int { return cmp.Compare(x.at, y.at) })
	slices.SortStableFunc(t.Evictions, func(x, y Eviction) int { return cmp.Compare(x.At, y.At) })
	slices.SortStableFunc(t.Milestones, func(x, y Milestone) int { return cmp.Compare(x.At, y.At) })
	slices.SortStableFunc(t.Notes, func(x, y Note) int { return cmp.Compare(x.At, y.At) })
	slices.SortStableFunc(t.Changes, func(x, y Change) int { return cmp.Compare(x.At, y.At) })
	t.readCluster()
	t.readPods(b.pods)
	return t
}
