package reports

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
)

const checkEvery = 4096 // hits between two looks at the context

// Timeline is a record boiled down to what can be shown: what its events say, as the judges read them, and its hits in buckets. Its size
// does not depend on the number of hits, but for the failed hits, which are all kept (see maxFailures).
type Timeline struct {
	record    *timeline.Timeline
	run       history.Run
	end       time.Duration
	width     time.Duration    // of a bucket, the same for all arms
	folds     []*fold          // in the order they are shown in
	ledgers   []*written       // sorted by name
	windows   []history.Window // as they ended, or began when they did not end; in the order they are shown in
	damage    []history.Damage
	disturbed disturbed
	releases  []*timeline.Release
}

// Aggregate reads a record once, its events first and then its arms and ledgers side by side, and boils it down. What cannot be read becomes
// damage of the timeline; the only errors are a directory that cannot be listed and a context that is done.
func Aggregate(ctx context.Context, h *history.History) (*Timeline, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("read the run in %s: %w", h.Dir(), err)
	}
	record, err := timeline.Read(h)
	if err != nil {
		return nil, err
	}
	t := newTimeline(record)
	folds := make([]*fold, len(record.Arms))
	damage := make([]error, len(folds)+len(t.ledgers))
	group, gctx := errgroup.WithContext(ctx)
	for i, arm := range record.Arms {
		group.Go(func() (err error) {
			folds[i] = newFold(arm.Name, t.disturbed)
			folds[i].injected = t.injectedInto(arm)
			damage[i], err = folds[i].read(gctx, h)
			return err
		})
	}
	for i, ledger := range t.ledgers {
		group.Go(func() (err error) {
			damage[len(folds)+i], err = ledger.read(gctx, h)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("read the hits and writes of the run in %s: %w", h.Dir(), err)
	}
	t.join(folds)
	for _, err := range damage {
		if err != nil {
			t.damage = append(t.damage, timeline.AsDamage(err))
		}
	}
	return t, nil
}

// newTimeline is what the events of a record say.
func newTimeline(record *timeline.Timeline) *Timeline {
	t := &Timeline{record: record, run: record.Run, end: record.Last, width: firstWidth, damage: slices.Clone(record.Damage), releases: record.Releases()}
	t.disturbed = t.whenDisturbed()
	for _, l := range record.Ledgers {
		t.ledgers = append(t.ledgers, newWritten(l))
		t.end = max(t.end, l.Until)
	}
	return t
}

// injectedInto tells the failed hits of an arm that are failures by plan, as the judge excepts them.
func (t *Timeline) injectedInto(arm *timeline.Arm) func(*history.Hit) bool {
	if arm.Control {
		return func(*history.Hit) bool { return false }
	}
	excuses := t.record.ExcusesOf(arm)
	return func(h *history.Hit) bool { return excuses.Failure(h) != nil }
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
	return nil, ctx.Err()
}

// whenDisturbed is the time between what was before all disturbances and what was after them.
func (t *Timeline) whenDisturbed() disturbed {
	var when disturbed
	for i, d := range t.record.Disturbances {
		from, until := d.First(), t.record.Clamp(d.Until())
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
	for slices.ContainsFunc(folds, func(f *fold) bool { return !f.smooth(f.hits, t.width) }) {
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
	for _, f := range t.folds {
		for _, w := range t.arm(f.arm).Windows {
			t.windows = append(t.windows, w.Window)
		}
	}
	slices.SortStableFunc(t.windows, func(a, b history.Window) int { return cmp.Compare(a.Index, b.Index) })
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

// arm is what the events say of an arm; of one that they do not tell of, its name.
func (t *Timeline) arm(name string) *timeline.Arm {
	if i := slices.IndexFunc(t.record.Arms, func(a *timeline.Arm) bool { return a.Name == name }); i >= 0 {
		return t.record.Arms[i]
	}
	return &timeline.Arm{Name: name}
}

func (t *Timeline) control(arm string) bool { return t.arm(arm).Control }

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
