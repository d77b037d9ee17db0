package judge

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/timeline"
)

// said is a check that looks at nothing and says what it is told to.
type said Verdict

func (v said) Result() Promise { return Promise{Verdict: Verdict(v), Reason: "as told"} }

func says(slug string, v Verdict) Check {
	return Check{Slug: slug, Promise: "a promise", New: func(*timeline.Timeline) Fold { return said(v) }}
}

func whole(v Verdict) Check {
	c := says("record.whole", v)
	c.Always, c.Whole = true, true
	return c
}

// record is a run of two hits that asks for the given checks.
func record(t *testing.T, slugs ...string) *history.History {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	rec, err := history.Create(dir, history.Run{ID: "r", Checks: slugs}, history.NewClock())
	must(t, err)
	arm, err := rec.Arm("get")
	must(t, err)
	for seq := range uint64(2) {
		must(t, arm.Write(&history.Hit{Seq: seq, Code: 200, Latency: time.Millisecond, Window: 1}))
	}
	must(t, rec.Close(history.EndFinished, ""))
	h, err := history.Open(dir)
	must(t, err)
	return h
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheVerdictOfARun(t *testing.T) {
	skipped := says("a.skipped", Pass)
	skipped.Always, skipped.Needs = true, []Need{{What: "moon", Met: func(*timeline.Timeline) bool { return false }}}
	untold := says("a.untold", Pass)
	untold.Unsaid = []string{"the colour", "the taste"}
	cases := map[string]struct {
		catalogue Catalogue
		slugs     []string
		want      Verdict
		promises  []string // slug: verdict: reason, in the order they are reported in
	}{
		"as good as its worst promise": {
			catalogue: Catalogue{whole(Pass), says("a.good", Pass), says("a.bad", Fail)}, slugs: []string{"a.good", "a.bad"}, want: Fail,
			promises: []string{"a.bad: fail: as told", "record.whole: pass: as told", "a.good: pass: as told"},
		},
		"what nobody asked for is not judged": {
			catalogue: Catalogue{whole(Pass), says("a.good", Pass), says("a.bad", Fail)}, slugs: []string{"a.good"}, want: Pass,
			promises: []string{"record.whole: pass: as told", "a.good: pass: as told"},
		},
		"a whole record says nothing by itself": {
			catalogue: Catalogue{whole(Pass)}, want: Inconclusive, promises: []string{"record.whole: pass: as told"},
		},
		"a record that is not whole takes every pass": {
			catalogue: Catalogue{whole(Inconclusive), says("a.good", Pass)}, slugs: []string{"a.good"}, want: Inconclusive,
			promises: []string{"record.whole: inconclusive: as told",
				"a.good: inconclusive: the record is not complete; what is left of it shows no failure: as told"},
		},
		"a record that is not whole leaves a failure": {
			catalogue: Catalogue{whole(Inconclusive), says("a.bad", Fail)}, slugs: []string{"a.bad"}, want: Fail,
			promises: []string{"a.bad: fail: as told", "record.whole: inconclusive: as told"},
		},
		"always judged, skipped where it does not apply": {
			catalogue: Catalogue{whole(Pass), skipped, says("a.good", Pass)}, slugs: []string{"a.good"}, want: Pass,
			promises: []string{"record.whole: pass: as told", "a.good: pass: as told", "a.skipped: skipped: the record holds no moon"},
		},
		"asked for, and it does not apply": {
			catalogue: Catalogue{whole(Pass), skipped}, slugs: []string{"a.skipped"}, want: Inconclusive,
			promises: []string{"a.skipped: inconclusive: the record holds no moon", "record.whole: pass: as told"},
		},
		"the scenario does not say what the check needs": {
			catalogue: Catalogue{whole(Pass), untold}, slugs: []string{"a.untold"}, want: Inconclusive,
			promises: []string{"a.untold: inconclusive: the scenario does not say the colour, nor the taste", "record.whole: pass: as told"},
		},
		"a check that this version does not know": {
			catalogue: Catalogue{whole(Pass)}, slugs: []string{"a.future"}, want: Inconclusive,
			promises: []string{"a.future: inconclusive: the run was recorded for a check that this rollproof does not know: use the version that recorded it",
				"record.whole: pass: as told"},
		},
		"named twice": {
			catalogue: Catalogue{whole(Pass), says("a.good", Pass)}, slugs: []string{"a.good", "a.good", "record.whole"}, want: Pass,
			promises: []string{"record.whole: pass: as told", "a.good: pass: as told"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			h := record(t, c.slugs...)
			result, err := Run(t.Context(), h, c.catalogue, c.catalogue.For(h.Run()))
			must(t, err)
			var got []string
			for _, p := range result.Promises {
				got = append(got, p.Slug+": "+string(p.Verdict)+": "+p.Reason)
			}
			if result.Verdict != c.want || !slices.Equal(got, c.promises) {
				t.Errorf("the run is %s by %q, want %s by %q", result.Verdict, got, c.want, c.promises)
			}
		})
	}
}

// Without a check of the whole record a pass would say nothing.
func TestNothingIsJudgedWithoutACheckOfTheWholeRecord(t *testing.T) {
	h := record(t, "a.good")
	catalogue := Catalogue{says("a.good", Pass)}
	if result, err := Run(t.Context(), h, catalogue, catalogue.For(h.Run())); err == nil {
		t.Errorf("the run is judged %s", result.Verdict)
	}
}

// looker is a check that takes hits of one arm, and events where it is an eventLooker.
type looker struct{ hits int }

func (l *looker) Arm(*timeline.Arm) HitFold { return l }

func (l *looker) Hit(*history.Hit) { l.hits++ }

func (l *looker) Result() Promise { return Promise{Verdict: Pass} }

type eventLooker struct{ events int }

func (l *eventLooker) Event(*history.Event) { l.events++ }

func (l *eventLooker) Result() Promise { return Promise{Verdict: Pass} }

func TestAFoldIsGivenWhatItTakes(t *testing.T) {
	hits, events := &looker{}, &eventLooker{}
	catalogue := Catalogue{whole(Pass),
		{Slug: "a.hits", Always: true, New: func(*timeline.Timeline) Fold { return hits }},
		{Slug: "a.events", Always: true, New: func(*timeline.Timeline) Fold { return events }}}
	_, err := Run(t.Context(), record(t), catalogue, nil)
	must(t, err)
	if hits.hits != 2 || events.events != 3 { // the opening, a batch and the end
		t.Errorf("%d hits and %d events were taken, want 2 and 3", hits.hits, events.events)
	}
}

func TestFindNamesWhatIsUnknown(t *testing.T) {
	_, err := Catalogue{whole(Pass)}.Find("record.whole", "a.typo")
	var unknown *UnknownCheckError
	if !errors.As(err, &unknown) || unknown.Slug != "a.typo" {
		t.Errorf("error %v, want one that names a.typo", err)
	}
}

func TestCancelledJudgingIsAnError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, record(t), Catalogue{whole(Pass)}, nil); err == nil {
		t.Error("judging went on though it was cancelled")
	}
}
