package judge

import (
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

func (r *recording) gap(resource string, from, to time.Duration, lost bool) {
	r.events = append(r.events, history.Event{At: to, Kind: history.KindGap,
		Gap: &history.Gap{Resource: resource, From: from, To: to, Why: "the watch broke", Lost: lost}})
}

// What nobody saw is held against nobody, and no pass rests on it.
func TestGapsInWhatWasSeen(t *testing.T) {
	early := func(r *recording) { r.at("get", 1500*time.Millisecond).Pod = "pod-b" } // before pod-b was seen ready
	late := func(r *recording) { r.at("get", 8*time.Second).Pod = "pod-a" }          // long after pod-a was gone
	cases := []verdictCase{
		{name: "changes of pods are lost", spoil: func(r *recording) { r.gap("pods", 3*time.Second, 3500*time.Millisecond, true) }, want: Inconclusive,
			reason: "nothing of pods was seen for 500ms from 3s on (the watch broke)"},
		{name: "changes of everything are lost", spoil: func(r *recording) { r.gap("*", 3*time.Second, 3500*time.Millisecond, true) }, want: Inconclusive, reason: "nothing of *"},
		{name: "changes of something else are lost", spoil: func(r *recording) { r.gap("rollouts", 3*time.Second, 3500*time.Millisecond, true) }, want: Pass},
		{name: "lost, but after the load", spoil: func(r *recording) { r.gap("pods", 11*time.Second, 12*time.Second, true) }, want: Pass},
		{name: "late for as long as is allowed for", spoil: func(r *recording) { r.gap("pods", 3*time.Second, 3400*time.Millisecond, false) }, want: Pass},
		{name: "late for longer", spoil: func(r *recording) { r.gap("pods", 3*time.Second, 3600*time.Millisecond, false) }, want: Inconclusive},
		{name: "what happened in the gap is not judged", spoil: func(r *recording) { early(r); r.gap("pods", time.Second, 1600*time.Millisecond, true) }, want: Inconclusive},
		{name: "a failure outside of it stays one", spoil: func(r *recording) { late(r); r.gap("pods", time.Second, 1600*time.Millisecond, true) }, want: Fail},
	}
	for _, c := range cases {
		spoil := c.spoil
		c.spoil = func(r *recording) { replacedPod(t, r); spoil(r) }
		c.slug = slugReadiness
		c.check(t, slugReadiness)
	}
	for _, slug := range []string{slugShare, slugBlast} {
		verdictCase{name: "changes of rollouts are lost", slug: slug, want: Inconclusive, reason: "nothing of rollouts was seen",
			spoil: func(r *recording) { badRelease(t, r); r.gap("rollouts", 3*time.Second, 3500*time.Millisecond, true) }}.check(t, slug)
	}
	verdictCase{name: "changes of pods are lost", slug: slugGraceful, want: Inconclusive, reason: "nothing of pods was seen",
		spoil: func(r *recording) { replacedPod(t, r); r.gap("pods", 7*time.Second, 8*time.Second, true) }}.check(t, slugGraceful)
}
