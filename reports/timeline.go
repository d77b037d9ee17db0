package reports

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

const (
	maxPods    = 400  // drawn one by one
	maxChanges = 1000 // drawn of one resource
	checkEvery = 4096 // hits between two looks at the context
)

// Timeline is a record boiled down to what can be drawn: its size depends on neither the number of hits nor the length of
// the run, but for the failed hits, which are all kept (see maxFailures).
type Timeline struct {
	run         history.Run
	end         time.Duration
	width       time.Duration // of a bucket, the same for all arms
	folds       []*fold
	windows     []history.Window // as they ended, or began when they did not end
	disturbance []disturbance
	steps       []step
	pods        []*pod
	podsBeyond  int
	changes     []changes
	milestones  []milestone
	damage      []history.Damage
	disturbed   disturbed
	releases    []*release
}

// disturbance joins the phases of one disturbance. A phase that was not reached is negative.
type disturbance struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	Target   string     `json:"target,omitempty"`
	Injects  string     `json:"injects,omitempty"`
	Began    us         `json:"began"`
	Landed   us         `json:"landed"`
	Healed   us         `json:"healed"`
	Failed   us         `json:"failed"`
	Unhealed bool       `json:"unhealed,omitempty"` // Failed is when healing was given up; else when the disturbance was
	Evidence []evidence `json:"evidence"`
}

// over is when a disturbance was over: healed, or given up, or it had at least landed; else the end of the run.
func (d *disturbance) over(end time.Duration) time.Duration {
	switch {
	case d.Healed >= 0:
		return d.Healed.duration()
	case d.Failed >= 0:
		return d.Failed.duration()
	case d.Landed >= 0:
		return d.Landed.duration()
	}
	return end
}

type evidence struct {
	At   us     `json:"at"`
	What string `json:"what"`
	Saw  string `json:"saw"`
}

type step struct {
	At us `json:"at"`
	history.Step
}

// pod is the life of one pod: the moments at which its state changed.
type pod struct {
	Name    string     `json:"name"`
	Version string     `json:"version,omitempty"`
	Node    string     `json:"node,omitempty"`
	IP      string     `json:"ip,omitempty"`
	States  []podState `json:"states"`
}

type podState struct {
	At    us     `json:"at"`
	State string `json:"state"` // starting, ready, unready, terminating, gone
}

// changes are the changes of one resource other than pods, the answers to evictions, or the gaps in what was seen.
type changes struct {
	Resource string   `json:"resource"`
	Marks    []change `json:"marks"`
	Beyond   int      `json:"beyond,omitempty"` // more changes, not drawn
}

type change struct {
	At   us     `json:"at"`
	Type string `json:"type"`
	Name string `json:"name"`
	Text string `json:"text,omitempty"`
}

type milestone struct {
	At   us     `json:"at"`
	Name string `json:"name"`
	Text string `json:"text,omitempty"`
}

// us is a time since the run's start in microseconds: exact enough to be drawn, short enough to be many.
type us int64

func (t us) duration() time.Duration { return time.Duration(t) * time.Microsecond }

func inUs(d time.Duration) us { return us(d.Microseconds()) }

// Aggregate reads a record once, its events first and then its arms side by side, and boils it down. What cannot be read becomes
// damage of the timeline; the only errors are a directory that cannot be listed and a context that is done.
func Aggregate(ctx context.Context, h *history.History) (*Timeline, error) {
	arms, err := h.Arms()
	if err != nil {
		return nil, err
	}
	t, err := readEvents(ctx, h)
	if err != nil {
		return nil, err
	}
	folds := make([]*fold, len(arms))
	damage := make([]error, len(arms))
	group, gctx := errgroup.WithContext(ctx)
	for i, arm := range arms {
		group.Go(func() (err error) {
			folds[i] = newFold(arm, t.disturbed)
			damage[i], err = folds[i].read(gctx, h)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("read the hits of the run in %s: %w", h.Dir(), err)
	}
	t.join(folds)
	for _, err := range damage {
		t.damaged(err)
	}
	return t, nil
}

func (f *fold) read(ctx context.Context, h *history.History) (damage, err error) {
	for hit, damage := range h.Hits(f.arm) {
		if damage != nil {
			return damage, nil
		}
		if f.add(hit); f.hits%checkEvery == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return nil, nil
}

// readEvents boils the events of a record down.
func readEvents(ctx context.Context, h *history.History) (*Timeline, error) {
	t := &Timeline{run: h.Run(), width: firstWidth, damage: h.Damage()}
	events := eventFold{t: t, disturbances: map[string]int{}, pods: map[string]*pod{}, resources: map[string]int{},
		windows: map[windowKey]int{}, releases: newReleaseFold()}
	for e, err := range h.Events() {
		if err != nil {
			t.damaged(err)
			break
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("read the events of the run in %s: %w", h.Dir(), ctx.Err())
		}
		events.add(&e)
	}
	t.releases = events.releases.releases()
	t.disturbed = t.whenDisturbed()
	return t, nil
}

// whenDisturbed is the time between what was before all disturbances and what was after them.
func (t *Timeline) whenDisturbed() disturbed {
	var when disturbed
	for i, d := range t.disturbance {
		from, until := d.Began.duration(), d.over(t.end)
		if i == 0 {
			when = disturbed{from, until}
		}
		when = disturbed{min(when.from, from), max(when.until, until)}
	}
	return when
}

// join lays folded arms side by side.
func (t *Timeline) join(folds []*fold) {
	t.folds = folds
	for _, f := range folds {
		t.width = max(t.width, f.width)
		t.end = max(t.end, f.end)
	}
	for !smooth(folds, t.width) {
		t.width *= 2
	}
	for _, f := range folds {
		for f.width < t.width {
			f.widen()
		}
	}
	slices.SortFunc(t.folds, func(a, b *fold) int { // control arms last: they are what the others are held against
		return cmp.Or(compareBool(t.control(a.arm), t.control(b.arm)), cmp.Compare(a.arm, b.arm))
	})
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// smooth reports whether buckets of this width hold enough hits each for a rate that does not flicker, or have become too
// few to be widened further.
func smooth(folds []*fold, width time.Duration) bool {
	const enoughHits, fewBuckets = 16, 120
	for _, f := range folds {
		buckets := len(f.buckets) / int(width/f.width)
		if buckets > fewBuckets && f.hits/uint64(buckets) < enoughHits {
			return false
		}
	}
	return true
}

func (t *Timeline) damaged(err error) {
	var d *history.Damage
	if errors.As(err, &d) {
		t.damage = append(t.damage, *d)
	}
}

// Mistrust adds to a judgement the damage that was met while the record was read for its timeline: a record may have suffered
// since it was judged. Each file is named once.
func (t *Timeline) Mistrust(res judge.Result) judge.Result {
	res.Damage = slices.Clone(res.Damage)
	for _, d := range t.damage {
		if !slices.ContainsFunc(res.Damage, func(o history.Damage) bool { return o.File == d.File }) {
			res.Damage = append(res.Damage, d)
		}
	}
	return res
}

// eventFold gathers the events of a run into its timeline.
type eventFold struct {
	t            *Timeline
	disturbances map[string]int
	pods         map[string]*pod
	resources    map[string]int
	windows      map[windowKey]int
	releases     releaseFold
}

type windowKey struct {
	arm   string
	index int
}

func (f *eventFold) add(e *history.Event) {
	at := inUs(e.At)
	f.t.end = max(f.t.end, e.At)
	switch {
	case e.Window != nil:
		f.window(e.Window)
	case e.Disturbance != nil:
		f.disturbance(at, e.Disturbance)
	case e.Step != nil:
		f.t.steps = append(f.t.steps, step{at, *e.Step})
	case e.Change != nil && e.Change.Pod != nil:
		f.pod(at, e.Change)
	case e.Change != nil:
		f.releases.add(e.At, e.Change)
		name := strings.TrimPrefix(e.Change.Namespace+"/"+e.Change.Name, "/")
		f.change(e.Change.Resource, change{at, e.Change.Type, name, string(e.Change.Object)})
	case e.Eviction != nil:
		f.change("evictions", change{at, e.Eviction.Answer(), e.Eviction.Namespace + "/" + e.Eviction.Pod, e.Eviction.Message})
	case e.Gap != nil:
		text := fmt.Sprintf("from %v to %v: %s", e.Gap.From.Round(time.Millisecond), e.Gap.To.Round(time.Millisecond), e.Gap.Why)
		f.change("gaps in what was seen", change{inUs(e.Gap.From), "gap", e.Gap.Resource, text})
	case e.Milestone != nil:
		f.t.milestones = append(f.t.milestones, milestone{at, shorten(e.Milestone.Name), shorten(e.Milestone.Text)})
	case e.Note != nil:
		f.t.milestones = append(f.t.milestones, milestone{at, "note", shorten(e.Note.Text)})
	case e.End != nil:
		f.t.milestones = append(f.t.milestones, milestone{at, "end", shorten(e.End.Reason)})
	}
}

func (f *eventFold) window(w *history.Window) {
	key := windowKey{w.Arm, w.Index}
	i, known := f.windows[key]
	if !known {
		f.windows[key] = len(f.t.windows)
		f.t.windows = append(f.t.windows, *w)
		return
	}
	f.t.windows[i] = *w
}

func (f *eventFold) disturbance(at us, d *history.Disturbance) {
	i, known := f.disturbances[d.ID]
	if !known {
		i = len(f.t.disturbance)
		f.disturbances[d.ID] = i
		f.t.disturbance = append(f.t.disturbance, disturbance{
			ID: d.ID, Name: d.Name, Began: at, Landed: -1, Healed: -1, Failed: -1, Evidence: []evidence{},
		})
	}
	joined := &f.t.disturbance[i]
	if d.Target != "" {
		joined.Target = d.Target
	}
	if d.Injects != "" {
		joined.Injects = d.Injects
	}
	switch d.Phase {
	case history.Began:
		joined.Began = at
	case history.Landed:
		joined.Landed = at
	case history.Healed:
		joined.Healed = at
	case history.Failed, history.Unhealed:
		joined.Failed = at
		joined.Unhealed = d.Phase == history.Unhealed
	}
	for _, e := range d.Evidence {
		joined.Evidence = append(joined.Evidence, evidence{at, shorten(e.What), shorten(e.Saw)})
	}
}

func (f *eventFold) pod(at us, c *history.Change) {
	key := c.UID
	if key == "" {
		key = c.Namespace + "/" + c.Name
	}
	p := f.pods[key]
	if p == nil {
		if len(f.t.pods) == maxPods {
			f.t.podsBeyond++
			return
		}
		p = &pod{Name: c.Name}
		f.pods[key] = p
		f.t.pods = append(f.t.pods, p)
	}
	for _, field := range []struct {
		to   *string
		from string
	}{{&p.Version, c.Pod.Version}, {&p.Node, c.Pod.Node}, {&p.IP, c.Pod.IP}} {
		if field.from != "" {
			*field.to = field.from
		}
	}
	state := p.next(c)
	if n := len(p.States); n == 0 || p.States[n-1].State != state {
		p.States = append(p.States, podState{at, state})
	}
}

func (p *pod) next(c *history.Change) string {
	switch {
	case c.Type == "deleted":
		return "gone"
	case c.Pod.Terminating || c.Pod.Signalled:
		return "terminating"
	case c.Pod.Ready:
		return "ready"
	case slices.ContainsFunc(p.States, func(s podState) bool { return s.State == "ready" }):
		return "unready"
	}
	return "starting"
}

func (f *eventFold) change(resource string, c change) {
	i, known := f.resources[resource]
	if !known {
		i = len(f.t.changes)
		f.resources[resource] = i
		f.t.changes = append(f.t.changes, changes{Resource: resource, Marks: []change{}})
	}
	r := &f.t.changes[i]
	if len(r.Marks) == maxChanges {
		r.Beyond++
		return
	}
	c.Name, c.Text = shorten(c.Name), shorten(c.Text)
	r.Marks = append(r.Marks, c)
}

// MarshalJSON gives what the chart of the report reads. Times are microseconds since the run's start.
func (t *Timeline) MarshalJSON() ([]byte, error) {
	arms := make([]armData, len(t.folds))
	for i, f := range t.folds {
		arms[i] = f.data(t.control(f.arm))
	}
	return json.Marshal(struct {
		End          us            `json:"end"`
		Width        us            `json:"width"`
		Arms         []armData     `json:"arms"`
		Disturbances []disturbance `json:"disturbances"`
		Steps        []step        `json:"steps"`
		Pods         []*pod        `json:"pods"`
		PodsBeyond   int           `json:"podsBeyond"`
		Changes      []changes     `json:"changes"`
		Milestones   []milestone   `json:"milestones"`
		Windows      []window      `json:"windows"`
	}{inUs(t.end), inUs(t.width), arms, t.disturbance, t.steps, t.pods, t.podsBeyond, t.changes, t.milestones, spans(t.windows)})
}

// window is when an arm was under load.
type window struct {
	Arm    string `json:"arm"`
	Begin  us     `json:"begin"`
	Length us     `json:"length"`
}

func spans(windows []history.Window) []window {
	spans := make([]window, len(windows))
	for i, w := range windows {
		spans[i] = window{w.Arm, inUs(w.Begin), inUs(w.Length)}
	}
	return spans
}

func (t *Timeline) control(arm string) bool {
	return slices.ContainsFunc(t.windows, func(w history.Window) bool { return w.Arm == arm && w.Control })
}

// armData is one arm as the chart reads it. Arrays have one value for each bucket; a latency is -1 where no answer was good.
type armData struct {
	Name     string              `json:"name"`
	Control  bool                `json:"control,omitempty"`
	Hits     uint64              `json:"hits"`
	Failed   uint64              `json:"failed"`
	Masked   uint64              `json:"masked"`
	Base     int64               `json:"base"` // bucket i begins at (base+i)*width
	N        []uint32            `json:"n"`
	Bad      []uint32            `json:"bad"`
	Resent   []uint32            `json:"resent"`
	P50      []us                `json:"p50"`
	P99      []us                `json:"p99"`
	Max      []us                `json:"max"`
	Versions map[string][]uint32 `json:"versions"`
	Failures failureData         `json:"failures"`
}

// failureData is a failureLog: Column is base64 of its varints, as encoding/binary writes them.
type failureData struct {
	Kept   int           `json:"kept"`
	Beyond uint64        `json:"beyond,omitempty"`
	Column []byte        `json:"column"`
	Kinds  []failureKind `json:"kinds"`
}

func (f *fold) data(control bool) armData {
	n := len(f.buckets)
	d := armData{
		Name: f.arm, Control: control, Hits: f.hits, Failed: f.failed, Masked: f.masked, Base: f.base,
		N: make([]uint32, n), Bad: make([]uint32, n), Resent: make([]uint32, n),
		P50: make([]us, n), P99: make([]us, n), Max: make([]us, n), Versions: map[string][]uint32{},
		Failures: failureData{f.failures.kept, f.failures.beyond, f.failures.column, f.failures.kinds},
	}
	for slot, version := range f.versions {
		counts := make([]uint32, n)
		for i := range f.buckets {
			counts[i] = f.buckets[i].versions[slot]
		}
		d.Versions[version] = counts
	}
	for i := range f.buckets {
		b := &f.buckets[i]
		d.N[i], d.Bad[i], d.Resent[i] = b.hits, b.failed, b.masked
		d.P50[i], d.P99[i], d.Max[i] = -1, -1, -1
		if p50, ok := b.quantile(0.5); ok {
			p99, _ := b.quantile(0.99)
			d.P50[i], d.P99[i], d.Max[i] = inUs(p50), inUs(p99), inUs(b.max)
		}
	}
	return d
}
