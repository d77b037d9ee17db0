package run

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// lot is a site for theatres. Its cluster is made anew, under another name, when a scenario left it broken.
type lot struct {
	cluster  Cluster
	brokenBy string
	made     int   // clusters, after the first
	fail     error // in making one
}

func (l *lot) Ready(context.Context) (Cluster, error) {
	if l.brokenBy == "" {
		return l.cluster, nil
	}
	if l.fail != nil {
		return Cluster{}, l.fail
	}
	l.made++
	l.brokenBy, l.cluster.Versions = "", map[string]string{"cluster": fmt.Sprintf("number %d", l.made+1)}
	return l.cluster, nil
}

func (l *lot) Break(by string) { l.brokenBy = by }

// plays are scenarios that are named for the part that fails in them. In one called "played" none does; one called "needy" is skipped.
func plays(url string, names ...string) []Scenario {
	var all []Scenario
	for i, name := range names {
		s := (&theatre{fail: name, url: url}).scenario()
		s.Name, s.Before, s.After = fmt.Sprintf("unit/%d-%s", i+1, name), 10*time.Millisecond, 10*time.Millisecond
		if name == "needy" {
			s.Needs = Needs{Workers: 2}
		}
		all = append(all, s)
	}
	return all
}

// performer performs on a lot, and notes in the diary what it was told.
func performer(r Runner, site *lot, diary *[]string) Performer {
	site.cluster = r.Cluster
	note := func(what, scenario string) {
		*diary = append(*diary, what+" "+strings.TrimPrefix(scenario, "unit/"))
	}
	return Performer{
		Site: site, Runner: r,
		Begin:  func(s Scenario, _, _ int) { note("begin", s.Name) },
		Report: func(_ context.Context, o Outcome) error { note("report", o.Scenario); return nil },
		Done: func(p Performed) error {
			if p.NotBegun {
				note("not begun", p.Scenario)
			}
			return nil
		},
	}
}

// A broken site is made anew for the next scenario, and only for a next one. What the theatre plays leaves the site broken, as nobody saw it
// healed.
func TestABrokenSiteIsRenewedForTheNextScenario(t *testing.T) {
	cases := map[string]struct {
		plays []string
		site  lot
		made  int
		diary string
	}{
		"nothing breaks it":             {[]string{"needy", "needy"}, lot{}, 0, "begin 1-needy, begin 2-needy"},
		"the first breaks it":           {[]string{"ready", "needy", "needy"}, lot{}, 1, "begin 1-ready, begin 2-needy, begin 3-needy"},
		"the last breaks it":            {[]string{"needy", "played"}, lot{}, 0, "begin 1-needy, begin 2-played, report 2-played"},
		"it cannot be made anew":        {[]string{"ready", "needy", "needy"}, lot{fail: errPlanted}, 0, "begin 1-ready, not begun 2-needy, not begun 3-needy"},
		"it was left broken long since": {[]string{"needy"}, lot{brokenBy: "another"}, 1, "begin 1-needy"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var diary []string
			stage := &theatre{}
			p := performer(stage.runner(t), &c.site, &diary)
			performed, err := p.Perform(t.Context(), plays(stage.url, c.plays...)...)
			if !errors.Is(err, c.site.fail) || (err == nil) != (c.site.fail == nil) {
				t.Errorf("error %v, want %v", err, c.site.fail)
			}
			if got := strings.Join(diary, ", "); got != c.diary {
				t.Errorf("it went: %s\nwant:    %s", got, c.diary)
			}
			if len(performed) != len(c.plays) {
				t.Errorf("%d outcomes of %d scenarios", len(performed), len(c.plays))
			}
			if c.site.made != c.made {
				t.Errorf("%d clusters were made anew, want %d", c.site.made, c.made)
			}
		})
	}
}

// Each record tells of the cluster that its scenario was performed on.
func TestARecordTellsOfTheClusterOfItsTime(t *testing.T) {
	var diary []string
	stage := &theatre{}
	performed, err := performer(stage.runner(t), &lot{}, &diary).Perform(t.Context(), plays(stage.url, "ready", "played")...)
	if err != nil || performed[0].Err == nil || performed[1].Err != nil {
		t.Fatalf("error %v, outcomes %+v", err, performed)
	}
	if got := performed[1].History.Run().Versions["cluster"]; got != "number 2" {
		t.Errorf("the record says that its cluster is %q, want number 2", got)
	}
}

// An interrupt ends the scenario that is performed, and none is begun after it. What was begun is reported.
func TestNothingIsBegunAfterAnInterrupt(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var diary []string
	stage := &theatre{}
	p := performer(stage.runner(t), &lot{}, &diary)
	first := (&theatre{url: stage.url}).scenario()
	first.Acts = append(first.Acts, breakOff{interrupt: interrupt})
	performed, err := p.Perform(ctx, append([]Scenario{first}, plays(stage.url, "needy")...)...)
	if err != nil || !errors.Is(performed[0].Err, context.Canceled) || !performed[1].NotBegun {
		t.Errorf("error %v, outcomes %+v", err, performed)
	}
	if got, want := strings.Join(diary, ", "), "begin theatre, report theatre, not begun 1-needy"; got != want {
		t.Errorf("it went: %s\nwant:    %s", got, want)
	}
}

// breakOff is a Ctrl-C in the middle of the acts.
type breakOff struct {
	moment
	interrupt context.CancelFunc
}

func (breakOff) String() string { return "Ctrl-C" }

func (b breakOff) Do(ctx context.Context, _ *Stage) error { b.interrupt(); return ctx.Err() }
