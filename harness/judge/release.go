package judge

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// Release is one update of a Rollout, from the moment its controller first told of another pod template until it told of yet
// another one. The first release of a Rollout replaces nothing and is none; nor is the way back to the stable one, nor one that
// somebody ordered to skip its steps, as healing does: it says nothing of what the controller does by itself.
type Release struct {
	Namespace, Rollout     string
	Hash, Stable           string // pod template hashes: the new one, and the one that was stable before
	Version, StableVersion string // of the pods; empty when no ReplicaSet tells
	Began                  time.Duration
	Until                  time.Duration // never when it was the last
	States                 []Seen[history.RolloutObject]
	Runs                   []*Track[history.AnalysisRunObject] // in the order they began in
	// Midway says that it had begun before anybody watched.
	Midway bool
}

// releases are the updates of all Rollouts, in the order they began in.
func (t *Timeline) releases() []*Release {
	var all []*Release
	for _, rollout := range t.Cluster.Rollouts {
		all = append(all, t.releasesOf(rollout)...)
	}
	slices.SortStableFunc(all, func(a, b *Release) int { return cmp.Compare(a.Began, b.Began) })
	return all
}

func (t *Timeline) releasesOf(rollout *Track[history.RolloutObject]) []*Release {
	var (
		all     []*Release
		current *Release
	)
	for i, seen := range rollout.Seen {
		o := seen.Object
		if current != nil && o.CurrentPodHash != current.Hash {
			current.Until = seen.At
			current = nil
		}
		if current == nil && o.StableRS != "" && o.CurrentPodHash != "" && o.CurrentPodHash != o.StableRS {
			current = &Release{Namespace: rollout.Namespace, Rollout: rollout.Name, Hash: o.CurrentPodHash, Stable: o.StableRS,
				Began: seen.At, Until: Never, Midway: i == 0}
			all = append(all, current)
		}
		if current != nil {
			current.States = append(current.States, seen)
		}
	}
	all = slices.DeleteFunc(all, (*Release).ordered)
	for _, r := range all {
		r.Version, r.StableVersion = t.versionOf(r, r.Hash), t.versionOf(r, r.Stable)
		r.Runs = t.runsOf(r)
	}
	return all
}

// versionOf asks the ReplicaSets for the version of a pod template.
func (t *Timeline) versionOf(r *Release, hash string) string {
	for _, rs := range t.Cluster.ReplicaSets {
		o := rs.last()
		if rs.Namespace == r.Namespace && o.Hash == hash && (o.Owner == nil || o.Owner.Name == r.Rollout) && o.Version != "" {
			return o.Version
		}
	}
	return ""
}

// watchSkew is by how much one watch may tell of a change earlier than another tells of its cause: each resource has its own. Seen
// on a busy machine: an analysis 76 ms before the release that it belongs to.
const watchSkew = 5 * time.Second

func (t *Timeline) runsOf(r *Release) []*Track[history.AnalysisRunObject] {
	var runs []*Track[history.AnalysisRunObject]
	for _, run := range t.Cluster.AnalysisRuns {
		o, began := run.last(), run.Seen[0].At
		ours := run.Namespace == r.Namespace && o.Hash == r.Hash && (o.Owner == nil || o.Owner.Name == r.Rollout)
		if ours && began+watchSkew >= r.Began && began < r.Until {
			runs = append(runs, run)
		}
	}
	return runs
}

// ordered reports whether somebody had the release promoted in full, past its steps and analyses.
func (r *Release) ordered() bool {
	return slices.ContainsFunc(r.States, func(s Seen[history.RolloutObject]) bool { return s.Object.PromoteFull })
}

// label names a release to people.
func (r *Release) label() string {
	return "release " + cmp.Or(r.Version, "of hash "+r.Hash) + " of rollout " + r.Rollout
}

// is reports whether the release is of a version that was bad on purpose while it went out.
func (r *Release) is(i injection) bool {
	return r.Version != "" && r.Version == i.version && i.from < r.Until
}

// injected reports whether the release was bad on purpose.
func (r *Release) injected(t *Timeline) bool { return slices.ContainsFunc(injectionsOf(t), r.is) }

// promoted is when the release became the stable one; never when it did not.
func (r *Release) promoted() time.Duration {
	for _, s := range r.States {
		if s.Object.StableRS == r.Hash {
			return s.At
		}
	}
	return Never
}

// aborted is when the release was given up; never when it was not.
func (r *Release) aborted() time.Duration {
	for _, s := range r.States {
		if s.Object.Abort {
			return s.At
		}
	}
	return Never
}

// end is the last moment the release was watched.
func (r *Release) end(t *Timeline) time.Duration { return min(r.Until, t.Last) }

// last is what its Rollout said last of it.
func (r *Release) last() *history.RolloutObject { return &r.States[len(r.States)-1].Object }

// weight is the share a Rollout says its canary has, where it speaks of this release.
func (r *Release) weight(o *history.RolloutObject) (percent int32, told bool) {
	if o.Weights == nil || o.Weights.Canary.PodTemplateHash != r.Hash {
		return 0, false
	}
	return o.Weights.Canary.Weight, true
}

// weightAt is the share that the release was last said to have at a moment.
func (r *Release) weightAt(at time.Duration) int32 {
	var last int32
	for _, s := range r.States {
		if w, told := r.weight(&s.Object); told && s.At <= at {
			last = w
		}
	}
	return last
}

// over reports whether the phase of an AnalysisRun or of one of its metrics is a last one.
func over(phase string) bool {
	return phase == "Successful" || phase == "Failed" || phase == "Error" || phase == "Inconclusive"
}

// endOf is when an analysis came to its result; never when it did not.
func endOf(run *Track[history.AnalysisRunObject]) time.Duration {
	for _, s := range run.Seen {
		if over(s.Object.Phase) {
			return s.At
		}
	}
	return Never
}

// metricOf finds a metric of an analysis; nil when it was not measured.
func metricOf(o *history.AnalysisRunObject, name string) *history.MetricResult {
	i := slices.IndexFunc(o.Metrics, func(m history.MetricResult) bool { return m.Name == name })
	if i < 0 {
		return nil
	}
	return &o.Metrics[i]
}

// runText tells of an analysis in one line.
func runText(run *Track[history.AnalysisRunObject]) string {
	o := run.last()
	text := "analysis " + run.Name + ": " + cmp.Or(o.Phase, "not begun")
	if o.Message != "" {
		text += ": " + o.Message
	}
	for _, m := range o.Metrics {
		text += "; " + metricText(&m)
	}
	return text
}

func metricText(m *history.MetricResult) string {
	text := m.Name + " " + cmp.Or(m.Phase, "not measured") + " after " + plural(uint64(max(m.Count, 0)), "measurement")
	if m.Error > 0 {
		text += " and " + plural(uint64(m.Error), "error")
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

// runTexts tells of all analyses of a release.
func (r *Release) runTexts() []string {
	var all []string
	for _, run := range r.Runs {
		all = append(all, runText(run))
	}
	return all
}

// stateText tells of what a Rollout said at one moment.
func stateText(o *history.RolloutObject) string {
	text := "rollout: phase " + cmp.Or(o.Phase, "unknown") + ", stable " + cmp.Or(o.StableRS, "none") + ", current " + cmp.Or(o.CurrentPodHash, "none")
	if o.Abort {
		text += ", aborted at " + cmp.Or(o.AbortedAt, "a time it does not tell")
	}
	if o.Message != "" {
		text += ": " + o.Message
	}
	return text
}
