package canary

import (
	"fmt"
	"strings"
	"time"

	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/resource"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// SlugNoData is the name of the check.
const SlugNoData = "canary.no-data-no-promote"

// NoDataNoPromote judges runs in which the metrics are taken away: an analysis without data must not let a release through. That
// there really was no data is asked for too; otherwise nothing was tested.
func NoDataNoPromote(s Strategy, tolerance judge.Tolerance) judge.Check {
	return judge.Check{
		Slug:    SlugNoData,
		Promise: "without metrics nothing is promoted, and the reason is told",
		Doc: judge.Doc{
			Proves: "A release was held back while its metrics had no data: nothing told of a promotion up to the end, an analysis came to " +
				"a result, one of its metrics had an Error, was Inconclusive, or Failed on an empty result, on NaN or by a guard (any " +
				"metric besides those of `metrics`), and either the analysis or the Rollout tells why. Only the metrics of errors and " +
				"of latency must be without data: CPU can be measured without traffic.",
			Fails: "On a promotion, on a measurement that passed on an empty result or NaN, and on an analysis that passed unmeasured.",
			Inconclusive: "When the metrics had data, or there was no analysis, or none with a result: then nothing was tested; and when the " +
				"scenario does not name the metrics.",
		},
		Needs:  []judge.Need{{What: "release of a Rollout", Met: func(t *timeline.Timeline) bool { return len(t.Releases()) > 0 }}},
		Unsaid: unsaid(metricSaid(s.Metrics.Errors, "errors"), metricSaid(s.Metrics.Latency, "latency")),
		Rests:  canaryRests,
		During: duringReleases,
		Late:   tolerance.Propagation,
		New:    func(t *timeline.Timeline) judge.Fold { return &noData{t: t, metrics: s.Metrics} },
	}
}

type noData struct {
	t       *timeline.Timeline
	metrics Metrics
}

func (f *noData) Result() judge.Promise {
	var p judge.Promise
	r := judge.Ruling{Timeline: f.t}
	var texts []string
	for _, release := range f.t.Releases() {
		texts = append(texts, f.judge(release, &r, &p))
	}
	r.Into(&p, strings.Join(texts, "; "))
	return p
}

func (f *noData) judge(release *timeline.Release, r *judge.Ruling, p *judge.Promise) string {
	at := judge.Finding{At: release.Began, Until: release.End(f.t), Evidence: append([]string{timeline.StateText(release.Last())}, release.RunTexts()...)}
	note := func(rule func(judge.Finding), format string, args ...any) {
		finding := at
		finding.Text = release.Label() + ": " + fmt.Sprintf(format, args...)
		rule(finding)
	}
	p.Figures = append(p.Figures, judge.Figure{Name: "time that " + release.Label() + " was watched", Value: (release.End(f.t) - release.Began).Seconds(), Unit: "s"})
	data, promoted := f.dataOf(release), f.promotedAt(release)
	for _, said := range data.blind {
		note(r.Broken, "%s without data", said)
	}
	switch {
	case promoted != timeline.Never && data.real != "" && len(data.blind) == 0:
		note(r.Unsure, "it was promoted, but the metrics had data (%s): nothing was tested", data.real)
	case promoted != timeline.Never:
		note(r.Broken, "it was promoted %s after its beginning, without data", words.Span(promoted-release.Began))
	case data.real != "":
		note(r.Unsure, "the metrics had data (%s): nothing was tested", data.real)
	case len(release.Runs) == 0:
		note(r.Unsure, "no analysis of it was seen: nothing was tested")
	case data.none == "":
		note(r.Unsure, "no analysis told that it had no data")
	case !data.over:
		note(r.Unsure, "its analysis had no result yet")
	case data.reason == "" && release.Last().Message == "":
		note(r.Missing, "it was held back, and neither the analysis nor the Rollout tells why")
	}
	return fmt.Sprintf("%s was not promoted in %s: %s", release.Label(), words.Span(release.End(f.t)-release.Began), data.none)
}

// promotedAt is when anything told of a promotion: the Rollout, or a step recorded of it; never without.
func (f *noData) promotedAt(release *timeline.Release) time.Duration {
	at := release.Promoted()
	for _, s := range f.t.Steps {
		if release.Version != "" && f.t.SameWorkload(s.Workload, release.Workload) && s.Canary == release.Version && s.Weight >= 100 && s.At >= release.Began && s.At < release.Until {
			at = min(at, s.At)
		}
	}
	return at
}

// dataSeen is what the analyses of a release say of their data.
type dataSeen struct {
	real   string   // a measurement with data, where there was one
	none   string   // what tells that there was none
	blind  []string // what passed without
	reason string
	over   bool // an analysis came to a result
}

func (f *noData) dataOf(release *timeline.Release) dataSeen {
	var d dataSeen
	for _, run := range release.Runs {
		o := resultOf(run, release)
		if d.over = d.over || timeline.IsOver(o.Phase); d.reason == "" {
			d.reason = o.Message
		}
		if o.Phase == "Successful" {
			d.passed(run.Name, o)
		}
		for i := range o.Metrics {
			d.metric(&o.Metrics[i], f.needsTraffic(o.Metrics[i].Name))
		}
	}
	return d
}

// resultOf is what an analysis said while its release went out. Taking the release back ends an analysis that still runs, and
// Argo Rollouts calls one that was ended so successful.
func resultOf(run *timeline.Track[resource.AnalysisRun], release *timeline.Release) *resource.AnalysisRun {
	o := &run.Seen[0].Object
	for i := range run.Seen {
		if run.Seen[i].At < release.Until {
			o = &run.Seen[i].Object
		}
	}
	return o
}

// passed takes an analysis that let the release through: without a single measurement that is blindness.
func (d *dataSeen) passed(name string, o *resource.AnalysisRun) {
	for _, m := range o.Metrics {
		if m.Count > 0 {
			return
		}
	}
	d.blind = append(d.blind, "analysis "+name+" passed")
}

// needsTraffic reports whether a metric is made of requests. The others, as CPU, or a guard that counts requests, may well have
// data where there is no traffic, and say nothing about whether there was.
func (f *noData) needsTraffic(name string) bool {
	return name == f.metrics.Errors || name == f.metrics.Latency || name == f.metrics.Late
}

func (d *dataSeen) metric(m *resource.MetricResult, needsTraffic bool) {
	if d.reason == "" {
		d.reason = m.Message
	}
	for _, v := range m.Measurements {
		if d.reason == "" {
			d.reason = v.Message
		}
		switch empty := isEmpty(v.Value); {
		case v.Phase == "Successful" && empty:
			d.blind = append(d.blind, fmt.Sprintf("metric %s passed (value %q)", m.Name, v.Value))
		case v.Phase == "Error" || v.Phase == "Inconclusive" || v.Phase == "Failed" && (empty || !needsTraffic):
			d.none = timeline.MetricText(m)
		case needsTraffic && v.Phase != "":
			d.real = timeline.MetricText(m)
		}
	}
	if len(m.Measurements) == 0 && (m.Phase == "Error" || m.Error > 0) {
		d.none = timeline.MetricText(m)
	}
}

// isEmpty reports whether the value of a measurement is no data: an empty result, or one divided by nothing.
func isEmpty(value string) bool {
	v := strings.Trim(value, "[] ")
	return v == "" || strings.Contains(v, "NaN")
}
