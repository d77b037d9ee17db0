package timeline

import (
	"cmp"
	"strings"

	"bitvault.dev/rollproof/harness/resource"
	"bitvault.dev/rollproof/harness/words"
)

// RunText tells of an analysis in one line.
func RunText(run *Track[resource.AnalysisRun]) string {
	o := run.Last()
	text := "analysis " + run.Name + ": " + cmp.Or(o.Phase, "not begun")
	if o.Message != "" {
		text += ": " + o.Message
	}
	for _, m := range o.Metrics {
		text += "; " + MetricText(&m)
	}
	return text
}

// MetricText tells of one metric of an analysis in one line.
func MetricText(m *resource.MetricResult) string {
	text := m.Name + " " + cmp.Or(m.Phase, "not measured") + " after " + words.Plural(uint64(max(m.Count, 0)), "measurement")
	if m.Error > 0 {
		text += " and " + words.Plural(uint64(m.Error), "error")
	}
	var values []string
	for _, v := range m.Measurements {
		values = append(values, cmp.Or(v.Value, v.Phase))
	}
	if len(values) > 0 {
		text += " (" + strings.Join(values, ", ") + ")"
	}
	return text
}

// RunTexts tells of all analyses of a release.
func (r *Release) RunTexts() []string {
	var all []string
	for _, run := range r.Runs {
		all = append(all, RunText(run))
	}
	return all
}

// StateText tells of what a Rollout said at one moment.
func StateText(o *resource.Rollout) string {
	text := "rollout: phase " + cmp.Or(o.Phase, "unknown") + ", stable " + cmp.Or(o.StableRS, "none") + ", current " + cmp.Or(o.CurrentPodHash, "none")
	if o.Abort {
		text += ", aborted at " + cmp.Or(o.AbortedAt, "a time it does not tell")
	}
	if o.Message != "" {
		text += ": " + o.Message
	}
	return text
}
