package timeline

import (
	"math"
	"slices"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// Timeline is what the events of a record say, put in order. It is small however long the run: hits are not in it. Checks
// read it and never change it.
type Timeline struct {
	Run          history.Run
	Arms         []*Arm    // sorted by name
	Ledgers      []*Ledger // sorted by name
	Disturbances []*Disturbance
	Steps        []Step
	Pods         map[string]*Pod // by UID; by namespace/name where that is not told, as of processes
	End          *history.End    // nil when the record was cut short
	Damage       []history.Damage
	// Known is up to when events tell what happened: never when the record has its end, else the last event that is left.
	// A later hit cannot be held against them.
	Known time.Duration
	// Broken is when the run was broken off, see history.BrokenOff; never when it was not. What becomes of a release afterwards is our own doing.
	Broken time.Duration
	// Last is the moment of the last event that is there.
	Last time.Duration

	Cluster   Cluster
	Evictions []Eviction // answers of the API server, in order of time
	Gaps      []history.Gap

	// What follows is for those who show a record; each is in the order of time.
	Changes    []Change // of all resources, also of those that Cluster does not follow
	Milestones []Milestone
	Notes      []Note

	IDs   []string      // run ids that opening lines gave
	Ends  int           // how often the record ends
	Ended time.Duration // the moment of its end; never without one

	Sum         string // of the record, see history.History.Sum
	Unprotected bool   // the record has no sums, and is judged all the same

	named map[string][]*Pod // by name, in the order they were first seen in
}

// Arm is one arm of the load.
type Arm struct {
	Name     string
	Control  bool
	Workload history.Workload // whose answers it gets; none where nobody said
	Path     bool             // of a control arm: it ends at a node, before anything of the stack
	Windows  []*Window        // in order of their beginning
	Batch    *history.Batch   // the last; nil when there was none
}

// Node is where an arm with Path ends; "" when no window tells.
func (a *Arm) Node() string {
	for _, w := range a.Windows {
		if w.Node != "" {
			return w.Node
		}
	}
	return ""
}

// Window is one uninterrupted load of an arm. Of one that never ended only the plan is known, or that it had no planned end.
type Window struct {
	history.Window
	Announced bool // the event of its beginning is there
	Begins    int  // how often it began
	Ends      int  // how often it ended
}

// Until is when the window was planned to end.
func (w *Window) Until() time.Duration { return w.Begin + w.Length }

// Window finds the arm's window of an index; nil when no event announced it.
func (a *Arm) Window(index int) *Window {
	for _, w := range a.Windows {
		if w.Index == index {
			return w
		}
	}
	return nil
}

// Deadline is how long a hit of the arm in the window of an index may take; never where nobody said.
func (a *Arm) Deadline(index int) time.Duration {
	if w := a.Window(index); w != nil && w.Deadline > 0 {
		return w.Deadline
	}
	return Never
}

// Disturbance is a fault or release with the moments of its phases; a phase that was not reached is never.
type Disturbance struct {
	ID, Name, Target              string
	Workload                      history.Workload // that it disturbs, where that is one
	Injects, Hash                 string           // of a release: the version that is bad on purpose, and the pod template hash
	Fault                         history.Fault    // with Injects: how its answers are bad; none where nobody said
	Nodes                         []string         // that are themselves what is disturbed
	Began, Landed, Healed, Failed time.Duration
	Unhealed                      time.Duration // healing was tried and did not come true
	Evidence                      []history.Evidence
	Left                          []history.Evidence // with Unhealed: what is left behind
	Begins                        int
	Touched                       []history.Touch    // what it changes itself
	Phases                        []DisturbancePhase // each that was recorded, in the order of time, at least one
}

// DisturbancePhase is one phase of a disturbance as it was recorded.
type DisturbancePhase struct {
	At       time.Duration
	Phase    history.Phase
	Evidence []history.Evidence
}

// First is when the record first tells of the disturbance: its beginning, unless that is missing.
func (d *Disturbance) First() time.Duration {
	return min(d.Began, d.Landed, d.Healed, d.Failed, d.Unhealed)
}

// Never is a moment that did not come.
const Never = time.Duration(math.MaxInt64)

// Until is when the disturbance was over: healed, or given up, or healing was, or it had at least landed. It is never when it is not over.
func (d *Disturbance) Until() time.Duration {
	switch {
	case d.Healed != Never:
		return d.Healed
	case d.Failed != Never:
		return d.Failed
	case d.Unhealed != Never:
		return d.Unhealed
	}
	return d.Landed
}

// Performed are the disturbances of a name that began, in order.
func (t *Timeline) Performed(name string) []*Disturbance {
	var all []*Disturbance
	for _, d := range t.Disturbances {
		if d.Name == name && d.Began != Never {
			all = append(all, d)
		}
	}
	return all
}

// GoesOn reports whether it may do something at a moment: from its beginning until late after the last that was told of it, and for ever where
// it was neither healed nor healing it given up.
func (d *Disturbance) GoesOn(at, late time.Duration) bool {
	over := d.Healed != Never || d.Unhealed != Never
	return at >= d.Began && (!over || at <= d.Phases[len(d.Phases)-1].At+late)
}

// Stops reports whether the disturbance switches a node off as a whole. A drain only empties one.
func (d *Disturbance) Stops(node string) bool {
	return d.Name == history.NodeLossName && slices.Contains(d.Nodes, node)
}

// Label names a disturbance to people.
func (d *Disturbance) Label() string {
	if d.Name == "" || d.Name == d.ID {
		return d.ID
	}
	return d.Name + " (" + d.ID + ")"
}

// Milestone is a named moment of the run.
type Milestone struct {
	At time.Duration
	history.Milestone
}

// Note is something that is worth telling, with its moment.
type Note struct {
	At time.Duration
	history.Note
}

// Step is a moment from which a release should get a share of traffic.
type Step struct {
	At time.Duration
	history.Step
}

// StepAfter is the step of the same workload that follows the one of an index; nil when it is the last.
func (t *Timeline) StepAfter(i int) *Step {
	for k := i + 1; k < len(t.Steps); k++ {
		if t.SameWorkload(t.Steps[k].Workload, t.Steps[i].Workload) {
			return &t.Steps[k]
		}
	}
	return nil
}

// StepsOf are the steps of a workload, in order.
func (t *Timeline) StepsOf(w history.Workload) []Step {
	return slices.DeleteFunc(slices.Clone(t.Steps), func(s Step) bool { return !t.SameWorkload(s.Workload, w) })
}

// Eviction is one answer of the API server to an eviction.
type Eviction struct {
	At time.Duration
	history.Eviction
}

// Span is a time from From up to Until; never when it did not end.
type Span struct{ From, Until time.Duration }

// Later is a moment and some time; never where the moment did not come.
func Later(at, by time.Duration) time.Duration {
	if at == Never {
		return at
	}
	return at + by
}

// Length is how long it lasted.
func (s Span) Length() time.Duration { return s.Until - s.From }

// LoadEnd is when the last window was planned to end, or when the events do.
func (t *Timeline) LoadEnd() time.Duration {
	var end time.Duration
	for _, arm := range t.Arms {
		for _, w := range arm.Windows {
			end = max(end, w.Until())
		}
	}
	return min(end, t.Known)
}

// ProbesEnd is when the last that was asked of the stack was to end: hits, and the writes of ledgers.
func (t *Timeline) ProbesEnd() time.Duration {
	end := t.LoadEnd()
	for _, l := range t.Ledgers {
		end = max(end, min(l.Until, t.Known))
	}
	return end
}

// LoadBegin is when the first window began; never without load.
func (t *Timeline) LoadBegin() time.Duration {
	begin := Never
	for _, arm := range t.Arms {
		for _, w := range arm.Windows {
			begin = min(begin, w.Begin)
		}
	}
	return begin
}

// Finished reports whether the run saw as much as it planned to: it came to its end, or it waited in vain for as long as it would
// for something of the product.
func (t *Timeline) Finished() bool {
	return t.End != nil && t.Broken == Never && (t.End.Outcome == history.EndFinished || t.End.Outcome == history.EndTimedOut)
}
