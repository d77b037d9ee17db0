package timeline

import (
	"cmp"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// Label names a disturbance to people.
func (d *Disturbance) Label() string {
	if d.Name == "" || d.Name == d.ID {
		return d.ID
	}
	return d.Name + " (" + d.ID + ")"
}

// Finished reports whether the run saw as much as it planned to: it came to its end, or it waited in vain for as long as it would
// for something of the product, as observe.Await puts it.
func (t *Timeline) Finished() bool {
	return t.End != nil && (t.End.Reason == "finished" || strings.HasPrefix(t.End.Reason, "wait for ") && strings.Contains(t.End.Reason, ": not within "))
}

// Timeline is what the events of a record say, put in order. It is small however long the run: hits are not in it. Checks
// read it and never change it.
type Timeline struct {
	Run          history.Run
	Arms         []*Arm // sorted by name
	Disturbances []*Disturbance
	Steps        []Step
	Pods         map[string]*Pod // by name
	End          *history.End    // nil when the record was cut short
	Damage       []history.Damage
	// Known is up to when events tell what happened: never when the record has its end, else the last event that is left.
	// A later hit cannot be held against them.
	Known time.Duration
	// Last is the moment of the last event that is there.
	Last time.Duration

	Cluster   Cluster
	Evictions []Eviction // answers of the API server, in order of time
	Gaps      []history.Gap

	IDs  []string // run ids that opening lines gave
	Ends int
}

// Arm is one arm of the load.
type Arm struct {
	Name    string
	Control bool
	Path    bool           // of a control arm: it ends at a node, before anything of the stack
	Windows []*Window      // in order of their beginning
	Batch   *history.Batch // the last; nil when there was none
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

// Disturbance is a fault or release with the moments of its phases; a phase that was not reached is never.
type Disturbance struct {
	ID, Name, Target, Injects     string
	Nodes                         []string // that are themselves what is disturbed
	Began, Landed, Healed, Failed time.Duration
	Unhealed                      time.Duration // healing was tried and did not come true
	Evidence                      []history.Evidence
	Left                          []history.Evidence // with Unhealed: what is left behind
	Begins                        int
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

// Step is a moment from which a release should get a share of traffic.
type Step struct {
	At time.Duration
	history.Step
}

// Eviction is one answer of the API server to an eviction.
type Eviction struct {
	At time.Duration
	history.Eviction
}

// Pod is what the watches saw of the pods of one name: of a StatefulSet one after another has it.
type Pod struct {
	Name    string
	Version string // of the last of them
	Ready   []Span // when one was ready and not terminating
	Stops   []Stop

	uid string
}

// Stop is the end of a pod; a moment that was not seen is never.
type Stop struct {
	Terminating time.Duration // deletion was asked for: SIGTERM follows preStop
	Signalled   time.Duration // the process itself told of its SIGTERM
	Gone        time.Duration
}

// tellsLate is how much later than it happened a watch may tell of a deletion.
const tellsLate = time.Second

// Span is a time from From up to Until; never when it did not end.
type Span struct{ From, Until time.Duration }

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

// Read reads every event of a record. What cannot be read is in Damage.
func Read(h *history.History) (*Timeline, error) {
	b := timelineBuilder{
		t:    &Timeline{Run: h.Run(), Pods: map[string]*Pod{}, Damage: h.Damage()},
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
			b.damage(err)
			break
		}
		b.add(&e)
	}
	return b.finish(), nil
}

type timelineBuilder struct {
	t            *Timeline
	arms         map[string]*Arm
	disturbances map[string]*Disturbance
	pods         []podChange
	changes      []change
}

type podChange struct {
	at        time.Duration
	gone      bool
	name      string
	uid       string
	signalled time.Duration
	history.PodState
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
		b.t.Ends++
		for name := range e.End.Hits {
			b.arm(name)
		}
	}
}

func (b *timelineBuilder) change(e *history.Event, c *history.Change) {
	if c.Pod != nil {
		b.pods = append(b.pods, podChange{
			at: e.At, gone: c.Type == "deleted", name: c.Name, uid: c.UID, signalled: signalled(e, c.Pod), PodState: *c.Pod,
		})
	}
	b.changes = append(b.changes, change{at: e.At, Change: *c})
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
	known := arm.Window(w.Index)
	switch {
	case known == nil:
		arm.Windows = append(arm.Windows, &Window{Window: *w, Announced: !w.Ended})
	case w.Ended:
		known.Window = *w
	default:
		known.Announced = true
	}
}

func (b *timelineBuilder) disturbance(at time.Duration, e *history.Disturbance) {
	d, ok := b.disturbances[e.ID]
	if !ok {
		d = &Disturbance{ID: e.ID, Name: e.Name, Target: e.Target, Began: Never, Landed: Never, Healed: Never, Failed: Never,
			Unhealed: Never}
		b.disturbances[e.ID] = d
	}
	d.Name, d.Target, d.Injects = cmp.Or(d.Name, e.Name), cmp.Or(d.Target, e.Target), cmp.Or(d.Injects, e.Injects)
	if len(d.Nodes) == 0 {
		d.Nodes = e.Nodes
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
		t.Disturbances = append(t.Disturbances, b.disturbances[id])
	}
	slices.SortStableFunc(t.Disturbances, func(x, y *Disturbance) int { return cmp.Compare(x.Began, y.Began) })
	slices.SortFunc(t.Gaps, func(x, y history.Gap) int {
		return cmp.Or(cmp.Compare(x.From, y.From), cmp.Compare(x.To, y.To), cmp.Compare(x.Resource, y.Resource))
	})
	slices.SortStableFunc(t.Steps, func(x, y Step) int { return cmp.Compare(x.At, y.At) })
	slices.SortStableFunc(b.pods, func(x, y podChange) int { return cmp.Compare(x.at, y.at) })
	for i := range b.pods {
		t.podChanged(&b.pods[i])
	}
	slices.SortStableFunc(t.Evictions, func(x, y Eviction) int { return cmp.Compare(x.At, y.At) })
	slices.SortStableFunc(t.Gaps, func(x, y history.Gap) int { return cmp.Or(cmp.Compare(x.From, y.From), cmp.Compare(x.To, y.To)) })
	slices.SortStableFunc(b.changes, func(x, y change) int { return cmp.Compare(x.at, y.at) })
	t.Cluster = readCluster(b.changes, &t.Damage)
	return t
}

// podChanged follows the pods of one name. One that is ready when the name is first seen was so before the watch began.
func (t *Timeline) podChanged(c *podChange) {
	pod, known := t.Pods[c.name]
	if !known {
		pod = &Pod{Name: c.name}
		t.Pods[c.name] = pod
	}
	if c.uid != "" && pod.uid != "" && c.uid != pod.uid {
		pod.end(c.at) // nobody saw the one before go
	}
	pod.uid, pod.Version = cmp.Or(c.uid, pod.uid), cmp.Or(c.Version, pod.Version)
	ready := c.Ready && !c.Terminating && !c.gone
	switch {
	case ready && !known:
		pod.Ready = append(pod.Ready, Span{From: math.MinInt64, Until: Never})
	case ready && !pod.isReady():
		pod.Ready = append(pod.Ready, Span{From: c.at, Until: Never})
	case !ready && pod.isReady():
		pod.Ready[len(pod.Ready)-1].Until = c.at
	}
	pod.stopping(c)
}

func (p *Pod) isReady() bool { return len(p.Ready) > 0 && p.Ready[len(p.Ready)-1].Until == Never }

func (p *Pod) stopping(c *podChange) {
	last := len(p.Stops) - 1
	open := last >= 0 && p.Stops[last].Gone == Never
	if !c.Terminating && c.signalled == Never {
		if open {
			p.Stops[last].Gone = c.at // gone, or another one by now
		}
		return
	}
	if !open {
		p.Stops = append(p.Stops, Stop{Terminating: Never, Signalled: Never, Gone: Never})
		last++
	}
	s := &p.Stops[last]
	if c.Terminating {
		s.Terminating = min(s.Terminating, c.at)
	}
	// A word that cannot be true is that of a clock which does not agree with ours: preStop and SIGTERM come after the deletion.
	if c.signalled <= c.at && (s.Terminating == Never || c.signalled >= s.Terminating-tellsLate) {
		s.Signalled = min(s.Signalled, c.signalled)
	}
	if c.gone {
		s.Gone = c.at
	}
}

// end closes what is open of a pod.
func (p *Pod) end(at time.Duration) {
	if p.isReady() {
		p.Ready[len(p.Ready)-1].Until = at
	}
	if last := len(p.Stops) - 1; last >= 0 && p.Stops[last].Gone == Never {
		p.Stops[last].Gone = at
	}
}
