package timeline

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/resource"
)

// Release is one update of a Rollout, from the moment its controller first told of another pod template until it told of yet
// another one. The first release of a Rollout replaces nothing and is none; nor is the way back to the stable one, nor one that
// somebody ordered to skip its steps, as healing does: it says nothing of what the controller does by itself.
type Release struct {
	Identity             // Version is empty when no ReplicaSet tells
	Stable        string // pod template hash of the release that was stable before
	StableVersion string // empty when no ReplicaSet tells
	Began         time.Duration
	Until         time.Duration // never when it was the last
	States        []Seen[resource.Rollout]
	Runs          []*Track[resource.AnalysisRun] // in the order they began in
	// Midway says that it had begun before anybody watched.
	Midway bool
}

// Releases are the updates of all Rollouts, in the order they began in.
func (t *Timeline) Releases() []*Release {
	var all []*Release
	for _, rollout := range t.Cluster.Rollouts {
		all = append(all, t.releasesOf(rollout)...)
	}
	slices.SortStableFunc(all, func(a, b *Release) int { return cmp.Compare(a.Began, b.Began) })
	return all
}

func (t *Timeline) releasesOf(rollout *Track[resource.Rollout]) []*Release {
	var (
		all     []*Release
		current *Release
	)
	for i, seen := range rollout.until(t.Broken).Seen {
		o := seen.Object
		if current != nil && o.CurrentPodHash != current.Hash {
			current.Until = seen.At
			current = nil
		}
		if current == nil && o.StableRS != "" && o.CurrentPodHash != "" && o.CurrentPodHash != o.StableRS {
			workload := history.Workload{Namespace: rollout.Namespace, Kind: "Rollout", Name: rollout.Name}
			current = &Release{Identity: Identity{Workload: workload, Hash: o.CurrentPodHash}, Stable: o.StableRS, Began: seen.At, Until: Never, Midway: i == 0}
			all = append(all, current)
		}
		if current != nil {
			current.States = append(current.States, seen)
		}
	}
	all = slices.DeleteFunc(all, (*Release).ordered)
	for _, r := range all {
		r.Version, r.StableVersion = t.versionOf(r, r.Hash), t.versionOf(r, r.Stable)
		t.identify(&r.Identity)
		r.Runs = t.runsOf(r)
	}
	return all
}

// versionOf asks the ReplicaSets for the version of a pod template.
func (t *Timeline) versionOf(r *Release, hash string) string {
	for _, rs := range t.Cluster.ReplicaSets {
		o := rs.Last()
		if rs.Namespace == r.Workload.Namespace && o.Hash == hash && (o.Owner == nil || o.Owner.Name == r.Workload.Name) && o.Version != "" {
			return o.Version
		}
	}
	return ""
}

// watchSkew is by how much one watch may tell of a change earlier than another tells of its cause: each resource has its own. Seen
// on a busy machine: an analysis 76 ms before the release that it belongs to.
const watchSkew = 5 * time.Second

func (t *Timeline) runsOf(r *Release) []*Track[resource.AnalysisRun] {
	var runs []*Track[resource.AnalysisRun]
	for _, run := range t.Cluster.AnalysisRuns {
		if run = run.until(t.Broken); len(run.Seen) == 0 {
			continue
		}
		o, began := run.Last(), run.Seen[0].At
		ours := run.Namespace == r.Workload.Namespace && o.Hash == r.Hash && (o.Owner == nil || o.Owner.Name == r.Workload.Name)
		if ours && began+watchSkew >= r.Began && began < r.Until {
			runs = append(runs, run)
		}
	}
	return runs
}

// ordered reports whether somebody had the release promoted in full, past its steps and analyses.
func (r *Release) ordered() bool {
	return slices.ContainsFunc(r.States, func(s Seen[resource.Rollout]) bool { return s.Object.PromoteFull })
}

// Label names a release to people.
func (r *Release) Label() string {
	return "release " + cmp.Or(r.Version, "of hash "+r.Hash) + " of rollout " + r.Workload.Name
}

// IsInjected reports whether a release was bad on purpose while it went out.
func (t *Timeline) IsInjected(r *Release) bool {
	return slices.ContainsFunc(t.Injections(), func(i Injection) bool { return t.isOf(&i, r) })
}

// isOf reports whether an injection is of a release.
func (t *Timeline) isOf(i *Injection, r *Release) bool {
	if r.Version == "" || r.Version != i.Version || i.From >= r.Until {
		return false
	}
	return t.bare() || i.Workload == r.Workload && (i.Hash == "" || i.Hash == r.Hash)
}

// Promoted is when the release became the stable one; never when it did not.
func (r *Release) Promoted() time.Duration {
	for _, s := range r.States {
		if s.Object.StableRS == r.Hash {
			return s.At
		}
	}
	return Never
}

// Aborted is when the release was given up; never when it was not.
func (r *Release) Aborted() time.Duration {
	for _, s := range r.States {
		if s.Object.Abort {
			return s.At
		}
	}
	return Never
}

// Healthy is when the controller, having seen the latest generation, told that the release is all there is; never when it did
// not.
func (r *Release) Healthy() time.Duration {
	for _, s := range r.States {
		if o := &s.Object; o.Phase == "Healthy" && IsObserved(o) && o.StableRS == r.Hash && !o.Abort {
			return s.At
		}
	}
	return Never
}

// IsObserved reports whether a Rollout's status is about its latest generation.
func IsObserved(o *resource.Rollout) bool {
	return o.ObservedGeneration == strconv.FormatInt(o.Generation, 10)
}

// End is the last moment the release was watched.
func (r *Release) End(t *Timeline) time.Duration { return min(r.Until, t.Last) }

// Last is what its Rollout said last of it.
func (r *Release) Last() *resource.Rollout { return &r.States[len(r.States)-1].Object }

// Weight is the share a Rollout says its canary has, where it speaks of this release.
func (r *Release) Weight(o *resource.Rollout) (percent int32, told bool) {
	if o.Weights == nil || o.Weights.Canary.PodTemplateHash != r.Hash {
		return 0, false
	}
	return o.Weights.Canary.Weight, true
}

// WeightAt is the share that the release was last said to have at a moment.
func (r *Release) WeightAt(at time.Duration) int32 {
	var last int32
	for _, s := range r.States {
		if w, told := r.Weight(&s.Object); told && s.At <= at {
			last = w
		}
	}
	return last
}

// IsOver reports whether the phase of an AnalysisRun or of one of its metrics is a last one.
func IsOver(phase string) bool {
	return phase == "Successful" || phase == "Failed" || phase == "Error" || phase == "Inconclusive"
}

// RunEnd is when an analysis came to its result; never when it did not.
func RunEnd(run *Track[resource.AnalysisRun]) time.Duration {
	for _, s := range run.Seen {
		if IsOver(s.Object.Phase) {
			return s.At
		}
	}
	return Never
}

// MetricOf finds a metric of an analysis; nil when it was not measured.
func MetricOf(o *resource.AnalysisRun, name string) *resource.MetricResult {
	i := slices.IndexFunc(o.Metrics, func(m resource.MetricResult) bool { return m.Name == name })
	if i < 0 {
		return nil
	}
	return &o.Metrics[i]
}

// StepRuns are the analyses of a release that are steps of it, in order. Background analyses have no step.
func (r *Release) StepRuns() []*Track[resource.AnalysisRun] {
	return slices.DeleteFunc(slices.Clone(r.Runs), func(run *Track[resource.AnalysisRun]) bool { return run.Last().Step == "" })
}
