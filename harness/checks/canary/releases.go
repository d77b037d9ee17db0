package canary

import (
	"slices"

	"bitvault.dev/rollproof/harness/timeline"
)

func badReleases(t *timeline.Timeline) []*timeline.Release {
	return slices.DeleteFunc(t.Releases(), func(r *timeline.Release) bool { return !t.IsInjected(r) })
}

func goodReleases(t *timeline.Timeline) []*timeline.Release {
	return slices.DeleteFunc(t.Releases(), func(r *timeline.Release) bool { return t.IsInjected(r) })
}

// canaryRests is what every check on releases of Rollouts takes for complete.
var canaryRests = []string{"rollouts", "analysisruns", "replicasets"}

// duringReleases is from the first release to the end: what comes of a release shows until then.
func duringReleases(t *timeline.Timeline) timeline.Span {
	s := timeline.WholeRun(t)
	if releases := t.Releases(); len(releases) > 0 {
		s.From = releases[0].Began
	}
	return s
}
