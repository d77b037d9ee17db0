package checks_test

import (
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/checks/canary"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/resource"
	"bitvault.dev/rollproof/harness/timeline"
)

// spoilt runs cases that each break one thing in the same run.
func spoilt(t *testing.T, slug string, base func(testing.TB, *recording), cases []verdictCase) {
	for _, c := range cases {
		spoil := c.spoil
		c.spoil = func(r *recording) {
			base(t, r)
			if spoil != nil {
				spoil(r)
			}
		}
		c.slug = slug
		c.check(t, slug)
	}
}

func TestCanarySteps(t *testing.T) {
	spoilt(t, canary.SlugSteps, goodCanary, []verdictCase{
		{name: "all of them", want: judge.Pass, reason: "1 release went by 10 %, 30 %, 100 %"},
		{name: "the 30 % step is skipped", want: judge.Fail, reason: "went by 10 %, 100 %, want 10 %, 30 %, 100 %", spoil: func(r *recording) {
			edit(r, "rollouts", "bitvaultd", 3400*ms, func(o *resource.Rollout) {
				if o.Weights.Canary.Weight == 30 {
					o.Weights.Canary.Weight = 10
				}
			})
		}},
		{name: "20 % in place of 10", want: judge.Fail, reason: "went by 20 %", spoil: func(r *recording) {
			edit(r, "rollouts", "bitvaultd", 0, func(o *resource.Rollout) {
				if o.Weights.Canary.Weight == 10 {
					o.Weights.Canary.Weight = 20
				}
			})
		}},
		{name: "somebody ordered it past its steps", want: judge.Inconclusive, reason: "release of a Rollout", spoil: func(r *recording) {
			edit(r, "rollouts", "bitvaultd", 3400*ms, func(o *resource.Rollout) { o.PromoteFull = true })
		}},
		{name: "straight to 100 %", want: judge.Fail, reason: "went by 100 %, want", spoil: func(r *recording) {
			edit(r, "rollouts", "bitvaultd", 0, func(o *resource.Rollout) {
				if w := &o.Weights.Canary.Weight; *w == 10 || *w == 30 {
					*w = 0
				}
			})
		}},
		{name: "the second analysis is removed", want: judge.Fail, reason: "promoted after 1 analysis", spoil: func(r *recording) { r.forgetAbout("analysisruns", "second", 0) }},
		{name: "the second analysis is no longer", want: judge.Fail, reason: "must be longer", spoil: func(r *recording) {
			r.forgetAbout("analysisruns", "second", 0)
			r.analysis("second", "3", 3600*ms, 4600*ms, "Successful", healthyMetrics()...)
		}},
		{name: "went on before the analysis was over", want: judge.Fail, reason: "before its analysis was over", spoil: func(r *recording) {
			r.forgetAbout("analysisruns", "first", 0)
			r.analysis("first", "1", 2400*ms, 3700*ms, "Successful", healthyMetrics()...)
		}},
		{name: "went on though the analysis failed", want: judge.Fail, reason: "though its analysis was Failed", spoil: func(r *recording) {
			edit(r, "analysisruns", "first", 3*time.Second, func(o *resource.AnalysisRun) { o.Phase = "Failed" })
		}},
		{name: "both analyses at 30 %", want: judge.Fail, reason: "did not begin while", spoil: func(r *recording) {
			r.forgetAbout("analysisruns", "first", 0)
			r.analysis("first", "1", 3550*ms, 4*time.Second, "Successful", healthyMetrics()...)
		}},
		{name: "an analysis without a measurement", want: judge.Fail, reason: "without a measurement", spoil: func(r *recording) {
			edit(r, "analysisruns", "second", 5*time.Second, func(o *resource.AnalysisRun) { o.Metrics[2].Count = 0 })
		}},
		{name: "a background analysis besides", want: judge.Pass, spoil: func(r *recording) {
			r.analysis("background", "", 2350*ms, 5200*ms, "Successful", healthyMetrics()...)
		}},
		{name: "the beginning only", want: judge.Inconclusive, run: judge.Fail, reason: "only the beginning", spoil: func(r *recording) { r.forgetAbout("rollouts", "bitvaultd", 5*time.Second) }},
		{name: "nobody watched its beginning", want: judge.Inconclusive, reason: "before anybody watched", spoil: func(r *recording) {
			r.events = without(r.events, "rollouts", 0, 2200*ms)
		}},
		{name: "a gap in the analyses", want: judge.Inconclusive, reason: "changes of analysisruns from 3 s to 4 s may be missing", spoil: func(r *recording) {
			r.gap("analysisruns", 3*time.Second, 4*time.Second, true)
		}},
		{name: "a gap in which a step is missed", want: judge.Inconclusive, reason: "all that speaks against", spoil: func(r *recording) {
			r.forgetAbout("analysisruns", "second", 0)
			r.gap("*", 3*time.Second, 5500*ms, true)
		}},
		{name: "a gap before the release", want: judge.Pass, spoil: func(r *recording) { r.gap("rollouts", 500*ms, time.Second, true) }},
		{name: "no release", want: judge.Inconclusive, reason: "no release of a Rollout", spoil: func(r *recording) { r.forgetAbout("rollouts", "bitvaultd", 0) }},
	})
}

// without removes the changes of a resource of a time.
func without(events []history.Event, resource string, from, until time.Duration) []history.Event {
	var kept []history.Event
	for _, e := range events {
		if e.Change == nil || e.Change.Resource != resource || e.At < from || e.At >= until {
			kept = append(kept, e)
		}
	}
	return kept
}

func TestAbortedReleaseShowsTheBeginningOfItsSteps(t *testing.T) {
	r := cleanRun()
	lateCanary(t, r)
	assertVerdict(t, r.judged(t, canary.SlugSteps), canary.SlugSteps, judge.Inconclusive)
}

func TestPromotesGood(t *testing.T) {
	never2 := func(r *recording) { // the new pod never becomes ready: no weight, no promotion
		r.events = without(r.events, "rollouts", 2200*ms, testLength)
		r.events = without(r.events, "analysisruns", 0, testLength)
		r.serve(0, 0, testLength)
	}
	spoilt(t, canary.SlugPromotes, goodCanary, []verdictCase{
		{name: "good", want: judge.Pass, reason: "1 release Healthy and stable; 0 of 3 000 hits"},
		{name: "its pod never gets ready", want: judge.Fail, reason: "was not promoted", spoil: never2},
		{name: "the run was interrupted before", want: judge.Inconclusive, run: judge.Fail, reason: "it may have come later", spoil: func(r *recording) {
			never2(r)
			r.outcome = history.EndInterrupted
		}},
		{name: "late on its way", want: judge.Fail, reason: "is Degraded: ProgressDeadlineExceeded", spoil: func(r *recording) {
			never2(r)
			r.rollout(6*time.Second, "h1", "h2", 0, func(o *resource.Rollout) { o.Phase, o.Message = "Degraded", "ProgressDeadlineExceeded" })
		}},
		{name: "aborted", want: judge.Fail, reason: "aborted, though nothing is wrong", spoil: func(r *recording) {
			never2(r)
			r.rollout(6*time.Second, "h1", "h2", 0, func(o *resource.Rollout) { o.Abort, o.Phase = true, "Degraded" })
		}},
		{name: "given up, and promoted later by hand", want: judge.Fail, reason: "was aborted, though nothing is wrong", spoil: func(r *recording) {
			r.rollout(4*time.Second, "h1", "h2", 0, func(o *resource.Rollout) { o.Abort, o.Phase = true, "Degraded" })
		}},
		{name: "promoted and not Healthy", want: judge.Fail, reason: "did not become Healthy", spoil: func(r *recording) { r.forgetAbout("rollouts", "bitvaultd", 5900*ms) }},
		{name: "Healthy of an older generation", want: judge.Fail, reason: "did not become Healthy", spoil: func(r *recording) {
			edit(r, "rollouts", "bitvaultd", 5900*ms, func(o *resource.Rollout) { o.Generation = 3 })
		}},
		{name: "taken back before", want: judge.Fail, reason: "was replaced before", spoil: func(r *recording) {
			never2(r)
			r.rollout(6*time.Second, "h1", "h1", 0, isHealthy)
		}},
		{name: "a dropped request", want: judge.Fail, reason: "1 of 3 000 hits dropped", spoil: func(r *recording) { reset(r.at("get", 4*time.Second)) }},
		{name: "the control arm failed", want: judge.Inconclusive, reason: "control arm", spoil: func(r *recording) { reset(r.at("control", 4*time.Second)) }},
		{name: "bad on purpose", want: judge.Inconclusive, reason: "not bad on purpose", spoil: func(r *recording) {
			for _, e := range r.events {
				if e.Disturbance != nil {
					e.Disturbance.Injects = "v2"
				}
			}
		}},
		{name: "a gap at its end", want: judge.Inconclusive, reason: "rollouts", spoil: func(r *recording) { r.gap("rollouts", 5*time.Second, 6*time.Second, true) }},
	})
}

// A release that is bad in one way fails by one metric. Where another failed beside it, or came to no result, the analysis does not tell
// which of them the release was aborted for.
func TestAnAnalysisThatFailedByAnotherMetricTooTellsNothing(t *testing.T) {
	const requests = "requests" // a metric that no check is about
	for slug, metric := range map[string]string{canary.SlugAbortsErrors: "errors", canary.SlugAbortsLatency: "latency", canary.SlugAbortsCPU: "cpu", canary.SlugAbortsLate: "errors"} {
		base := func(t testing.TB, r *recording) {
			if slug == canary.SlugAbortsLate {
				lateCanary(t, r)
			} else {
				badCanary(t, r, metric, "[0.9]")
			}
			lastRun(r, func(o *resource.AnalysisRun) {
				o.Metrics = append(o.Metrics, resource.MetricResult{Name: requests, Phase: "Successful", Count: 1})
			})
		}
		cases := []verdictCase{{name: "by it alone", want: judge.Pass}}
		for _, other := range []string{"errors", "latency", "cpu", requests} {
			for _, phase := range []string{"Failed", "Error", "Inconclusive"} {
				if other == metric {
					continue
				}
				cases = append(cases, verdictCase{name: other + " " + phase, want: judge.Inconclusive, reason: "and by " + other + " too", spoil: func(r *recording) {
					lastRun(r, func(o *resource.AnalysisRun) { timeline.MetricOf(o, other).Phase = phase })
				}})
			}
		}
		spoilt(t, slug, base, cases)
	}
}

func TestAborts(t *testing.T) {
	good := map[string]func(testing.TB, *recording){
		canary.SlugAbortsErrors:  func(t testing.TB, r *recording) { badCanary(t, r, "errors", "[0.2]") },
		canary.SlugAbortsLatency: func(t testing.TB, r *recording) { badCanary(t, r, "latency", "[0.7]") },
		canary.SlugAbortsCPU:     func(t testing.TB, r *recording) { badCanary(t, r, "cpu", "[0.95]") },
		canary.SlugAbortsLate:    lateCanary,
	}
	for slug, base := range good {
		spoilt(t, slug, base, []verdictCase{
			{name: "aborted", want: judge.Pass, reason: "release v2 of rollout bitvaultd was aborted by "},
			{name: "never aborted", want: judge.Fail, reason: "it was not aborted", spoil: func(r *recording) {
				edit(r, "rollouts", "bitvaultd", 0, func(o *resource.Rollout) { o.Abort, o.AbortedAt = false, "" })
			}},
			{name: "cut short before", want: judge.Inconclusive, reason: "it may have come later", spoil: func(r *recording) {
				r.outcome = history.EndInterrupted
				edit(r, "rollouts", "bitvaultd", 0, func(o *resource.Rollout) { o.Abort, o.AbortedAt = false, "" })
			}},
			{name: "promoted", want: judge.Fail, reason: "was promoted", spoil: func(r *recording) {
				edit(r, "rollouts", "bitvaultd", 3800*ms, func(o *resource.Rollout) { o.StableRS, o.CurrentPodHash = "h2", "h2" })
			}},
			{name: "the analysis had an error", want: judge.Fail, reason: "is Error: that is no finding", spoil: func(r *recording) { lastRun(r, func(o *resource.AnalysisRun) { o.Phase = "Error" }) }},
			{name: "the analysis was inconclusive", want: judge.Fail, reason: "is Inconclusive", spoil: func(r *recording) { lastRun(r, func(o *resource.AnalysisRun) { o.Phase = "Inconclusive" }) }},
			{name: "another metric failed", want: judge.Fail, reason: "no analysis failed by the metric", spoil: func(r *recording) {
				lastRun(r, func(o *resource.AnalysisRun) {
					for i := range o.Metrics {
						o.Metrics[i].Name = "another"
					}
				})
			}},
			{name: "every metric failed", want: judge.Inconclusive, reason: " too: it does not tell what was wrong", spoil: func(r *recording) {
				lastRun(r, func(o *resource.AnalysisRun) {
					for i := range o.Metrics {
						o.Metrics[i].Phase, o.Metrics[i].Count = "Failed", 1
					}
				})
			}},
			{name: "abortedAt is not set", want: judge.Fail, reason: "abortedAt is not set", spoil: func(r *recording) {
				edit(r, "rollouts", "bitvaultd", 0, func(o *resource.Rollout) { o.AbortedAt = "" })
			}},
			{name: "the router gives the stable release nothing", want: judge.Fail, reason: "and the stable release 0, want 0 and 100", spoil: func(r *recording) {
				edit(r, "traefikservices", "split", 4*time.Second, func(o *resource.TraefikService) { *o.Services[0].Weight = 0 })
			}},
			{name: "analyses were seen before their release", want: judge.Pass, spoil: func(r *recording) {
				for i := range r.events {
					if c := r.events[i].Change; c != nil && c.Resource == "rollouts" && r.events[i].At > time.Second {
						r.events[i].At += 450 * ms // each resource has a watch of its own
					}
				}
			}},
			{name: "failed without a measurement", want: judge.Fail, reason: "with a measurement", spoil: func(r *recording) {
				lastRun(r, func(o *resource.AnalysisRun) {
					for i := range o.Metrics {
						o.Metrics[i].Count = 0
					}
				})
			}},
			{name: "words for people decide nothing: it is the analysis that names the metric", want: judge.Pass, spoil: func(r *recording) {
				edit(r, "rollouts", "bitvaultd", 0, func(o *resource.Rollout) {
					if o.Abort {
						o.Message = "RolloutAborted: Rollout aborted update to revision 2"
					}
				})
			}},
			{name: "never Degraded", want: judge.Fail, reason: "its phase is Progressing", spoil: func(r *recording) {
				edit(r, "rollouts", "bitvaultd", 0, func(o *resource.Rollout) {
					if o.Abort {
						o.Phase = "Progressing"
					}
				})
			}},
			{name: "the status is of an older generation", want: judge.Fail, reason: "its status is of generation", spoil: func(r *recording) {
				edit(r, "rollouts", "bitvaultd", 0, func(o *resource.Rollout) {
					if o.Abort {
						o.Generation++
					}
				})
			}},
			{name: "weight left", want: judge.Fail, reason: "canary weight of 0", spoil: func(r *recording) {
				edit(r, "rollouts", "bitvaultd", 0, func(o *resource.Rollout) {
					if o.Abort {
						o.Weights.Canary.Weight = 10
					}
				})
			}},
			{name: "the stable set changed", want: judge.Fail, reason: "stable ReplicaSet changed from h1 to h0", spoil: func(r *recording) {
				edit(r, "rollouts", "bitvaultd", 3*time.Second, func(o *resource.Rollout) {
					if o.CurrentPodHash == "h2" {
						o.StableRS = "h0"
					}
				})
			}},
			{name: "the router was not told", want: judge.Fail, reason: "TraefikService split gives it", spoil: func(r *recording) {
				edit(r, "traefikservices", "split", 4*time.Second, func(o *resource.TraefikService) { *o.Services[1].Weight = 10 })
			}},
			{name: "the router does not follow", want: judge.Fail, reason: "it answered 1 hit later than 500 ms", run: judge.Fail, spoil: func(r *recording) { r.at("get", 7*time.Second).Version = "v2" }},
			{name: "too late", want: judge.Fail, reason: "at most 1 ms allowed", spoil: func(r *recording) {
				r.budgets(t, func(b *checks.Budgets) { b.Watch, b.Propagation, b.Notice, b.Ending = 100*ms, 500*ms, ms, time.Second })
			}},
			{name: "no load after it", want: judge.Inconclusive, reason: "300 needed", spoil: func(r *recording) {
				r.budgets(t, func(b *checks.Budgets) { b.Propagation = 5500 * ms })
			}},
			{name: "the version never answered", want: judge.Inconclusive, reason: "the injected fault did not show", spoil: func(r *recording) {
				r.serve(0, 0, testLength)
				for _, hits := range r.hits {
					for i := range hits {
						hits[i].Class, hits[i].Code, hits[i].Latency = history.ClassOK, 200, 5*ms
					}
				}
			}},
			{name: "nothing injected", want: judge.Inconclusive, reason: "no release of a Rollout that is bad on purpose", run: dropsWithout(slug), spoil: func(r *recording) {
				for _, e := range r.events {
					if e.Disturbance != nil {
						e.Disturbance.Injects = ""
					}
				}
			}},
			{name: "the same version as before", want: judge.Inconclusive, reason: "do not tell them apart", spoil: func(r *recording) {
				edit(r, "replicasets", "rs-h1", 0, func(o *resource.ReplicaSet) { o.Version = "v2" })
			}},
			{name: "a gap", want: judge.Inconclusive, reason: "changes of rollouts", spoil: func(r *recording) { r.gap("rollouts", 2*time.Second, 5*time.Second, true) }},
		})
	}
}

// dropsWithout is the verdict on a run whose injected failures, or slowness, nobody excepts.
func dropsWithout(slug string) judge.Verdict {
	if slug == canary.SlugAbortsErrors || slug == canary.SlugAbortsLate || slug == canary.SlugAbortsLatency {
		return judge.Fail
	}
	return judge.Inconclusive
}

// lastRun edits the result of the analysis that fails.
func lastRun(r *recording, change func(*resource.AnalysisRun)) {
	for i := range r.events {
		if c := r.events[i].Change; c != nil && c.Resource == "analysisruns" && c.Name == "second" {
			edit(r, "analysisruns", "second", 4800*ms, change)
			return
		}
	}
	edit(r, "analysisruns", "first", 3800*ms, change)
}

func TestAbortsLate(t *testing.T) {
	spoilt(t, canary.SlugAbortsLate, lateCanary, []verdictCase{
		{name: "the second analysis is removed", want: judge.Fail, reason: "the second one must catch it", spoil: func(r *recording) {
			edit(r, "analysisruns", "second", 0, func(o *resource.AnalysisRun) { o.Step = "" })
		}},
		{name: "the first one failed", want: judge.Fail, reason: "the first analysis was Failed", spoil: func(r *recording) {
			edit(r, "analysisruns", "first", 3*time.Second, func(o *resource.AnalysisRun) { o.Phase = "Failed" })
		}},
		{name: "the first one proves nothing", want: judge.Fail, reason: "fewer than 2 measurements", spoil: func(r *recording) {
			edit(r, "analysisruns", "first", 3*time.Second, func(o *resource.AnalysisRun) { o.Metrics[0].Count = 1 })
		}},
		{name: "aborted at 10 %", want: judge.Fail, reason: "aborted at 10 %, want 30 %", spoil: func(r *recording) {
			edit(r, "rollouts", "bitvaultd", 0, func(o *resource.Rollout) { o.Weights.Canary.Weight = min(o.Weights.Canary.Weight, 10) })
		}},
	})
}

func TestTimesOfAnAbort(t *testing.T) {
	r := cleanRun()
	badCanary(t, r, "errors", "[0.2]")
	p := assertVerdict(t, r.judged(t, canary.SlugAbortsErrors), canary.SlugAbortsErrors, judge.Pass)
	first := timeline.Never
	for _, hits := range r.hits {
		for _, h := range hits {
			if h.Version == "v2" && h.Class != history.ClassOK {
				first = min(first, h.End())
			}
		}
	}
	want := map[string]float64{"from the release of v2 to its abort": 2,
		"from the first failed answer of v2 to its abort": (4*time.Second + 4 - first).Seconds()}
	for _, f := range p.Figures {
		if f.Unit != "s" || f.Value != want[f.Name] {
			t.Errorf("figure %+v, want %v", f, want[f.Name])
		}
	}
	if len(p.Figures) != len(want) || p.Power == nil || p.Hits == 0 {
		t.Errorf("figures %+v, power %+v, hits %d", p.Figures, p.Power, p.Hits)
	}
}

func TestNoDataNoPromote(t *testing.T) {
	spoilt(t, canary.SlugNoData, blindCanary, []verdictCase{
		{name: "held back", want: judge.Pass, reason: "was not promoted in 6 s: errors Error"},
		{name: "a guard failed", want: judge.Pass, reason: "min-requests Failed", spoil: func(r *recording) {
			edit(r, "analysisruns", "first", 3800*ms, func(o *resource.AnalysisRun) {
				o.Phase, o.Metrics = "Failed", []resource.MetricResult{measuredAs("min-requests", "Failed", "[0]"), measuredAs("cpu", "Successful", "[0.01]")}
			})
		}},
		{name: "not a number", want: judge.Pass, reason: "errors Failed", spoil: func(r *recording) {
			edit(r, "analysisruns", "first", 3800*ms, func(o *resource.AnalysisRun) {
				o.Phase, o.Metrics = "Failed", []resource.MetricResult{measuredAs("errors", "Failed", "[NaN]")}
			})
		}},
		{name: "an empty result passed", want: judge.Fail, reason: `metric errors passed (value "[]") without data`, spoil: func(r *recording) {
			edit(r, "analysisruns", "first", 3800*ms, func(o *resource.AnalysisRun) {
				o.Phase, o.Metrics = "Successful", []resource.MetricResult{measuredAs("errors", "Successful", "[]", "[]")}
			})
		}},
		{name: "an analysis passed unmeasured", want: judge.Fail, reason: "analysis first passed without data", spoil: func(r *recording) {
			edit(r, "analysisruns", "first", 3800*ms, func(o *resource.AnalysisRun) {
				o.Phase, o.Metrics = "Successful", []resource.MetricResult{{Name: "errors", Phase: "Successful"}}
			})
		}},
		{name: "promoted", want: judge.Fail, reason: "it was promoted", spoil: func(r *recording) {
			edit(r, "rollouts", "bitvaultd", 3800*ms, func(o *resource.Rollout) { o.StableRS, o.CurrentPodHash, o.Abort = "h2", "h2", false })
		}},
		{name: "promoted, as a step tells", want: judge.Fail, reason: "it was promoted", spoil: func(r *recording) { r.step(6*time.Second, "promoted", 100) }},
		{name: "there was data", want: judge.Inconclusive, reason: "nothing was tested", spoil: func(r *recording) {
			edit(r, "analysisruns", "first", 3800*ms, func(o *resource.AnalysisRun) {
				o.Phase, o.Metrics = "Failed", []resource.MetricResult{measuredAs("errors", "Failed", "[0.2]")}
			})
		}},
		{name: "the analysis never began", want: judge.Inconclusive, reason: "no analysis of it was seen", spoil: func(r *recording) { r.forgetAbout("analysisruns", "first", 0) }},
		{name: "the analysis had no result", want: judge.Inconclusive, reason: "no result yet", spoil: func(r *recording) {
			edit(r, "analysisruns", "first", 3800*ms, func(o *resource.AnalysisRun) { o.Phase = "Running" })
		}},
		{name: "ended by taking the release back", want: judge.Inconclusive, reason: "no analysis told", spoil: func(r *recording) {
			r.forgetAbout("analysisruns", "first", 3800*ms)
			r.analysis("ended", "1", 2500*ms, 8500*ms, "Successful", resource.MetricResult{Name: "errors", Phase: "Successful", Error: 2})
		}},
		{name: "nobody tells why", want: judge.Fail, reason: "tells why", spoil: func(r *recording) {
			edit(r, "analysisruns", "first", 0, func(o *resource.AnalysisRun) {
				o.Message = ""
				for i := range o.Metrics {
					o.Metrics[i].Measurements[0].Message = ""
				}
			})
			edit(r, "rollouts", "bitvaultd", 0, func(o *resource.Rollout) { o.Message = "" })
		}},
		{name: "a gap", want: judge.Inconclusive, reason: "analysisruns", spoil: func(r *recording) { r.gap("analysisruns", 5*time.Second, 6*time.Second, true) }},
	})
}
