package observe

import (
	"fmt"
	"sync"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/kube"
	"bitvault.dev/rollproof/harness/resource"
)

// steps folds what Rollouts say into Step events: one for each change of the canary's weight, one for a promotion, one for an
// abort, one for a canary with a weight that was taken back or replaced without either. A Rollout names its releases by pod template hash only; the ReplicaSet of that hash knows the version. It comes by a
// watch of its own, so a step may have to wait for it; it is then recorded with the time the Rollout said so.
type steps struct {
	clock  history.Clock
	record func(history.Event)

	mu       sync.Mutex
	versions map[release]string
	rollouts map[key]*progress
}

// release is one ReplicaSet of a workload.
type release struct{ namespace, owner, hash string }

// progress is how far one Rollout is.
type progress struct {
	stable string // hash
	canary string // hash of the last step's canary
	weight int32
	abort  bool
	queue  []step // those that wait for a version
}

type step struct {
	at             time.Duration
	name           string
	stable, canary release
	weight         int32
}

func newSteps(clock history.Clock, record func(history.Event)) *steps {
	return &steps{clock: clock, record: record, versions: map[release]string{}, rollouts: map[key]*progress{}}
}

// replicaSet learns the version of a release.
func (s *steps) replicaSet(namespace string, o resource.ReplicaSet) {
	if o.Owner == nil || o.Hash == "" || o.Version == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.versions[release{namespace, o.Owner.Name, o.Hash}] = o.Version
	for _, p := range s.rollouts {
		s.emit(p)
	}
}

// rollout takes what a Rollout says now. The first word about one is where it stands: a step only if a canary has traffic.
func (s *steps) rollout(namespace, name string, o resource.Rollout) {
	if o.StableRS == "" {
		return // the first release of a Rollout replaces nothing
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k := key{"rollouts", namespace, name}
	p, known := s.rollouts[k]
	if !known {
		p = &progress{stable: o.StableRS}
		if o.Abort && o.Weights != nil && o.Weights.Canary.Weight == 0 { // it was aborted before anybody looked
			p.canary, p.abort = o.Weights.Canary.PodTemplateHash, true
		}
		s.rollouts[k] = p
	}
	of := func(hash string) release { return release{namespace, name, hash} }
	switch {
	case p.stable != o.StableRS:
		p.add(step{s.clock.Now(), "promoted", of(p.stable), of(o.StableRS), 100})
		*p = progress{stable: o.StableRS, queue: p.queue}
	case o.Weights == nil, o.Weights.Canary.PodTemplateHash == "":
	case o.Weights.Canary.PodTemplateHash == o.StableRS:
		if p.weight > 0 { // without an abort: somebody asked for the stable release again
			p.add(step{s.clock.Now(), "taken-back", of(o.StableRS), of(p.canary), 0})
		}
		p.canary, p.weight, p.abort = "", 0, false
	default:
		s.canary(p, o, of)
	}
	s.emit(p)
}

// canary takes the weight of a release that is not the stable one. The controller sets abort first and the weight after it; the
// step is the moment of the weight.
func (s *steps) canary(p *progress, o resource.Rollout, of func(string) release) {
	w := o.Weights.Canary
	if w.PodTemplateHash != p.canary {
		if p.weight > 0 && w.Weight == 0 { // the next canary begins with nothing
			p.add(step{s.clock.Now(), "replaced", of(o.StableRS), of(p.canary), 0})
		}
		p.canary, p.weight, p.abort = w.PodTemplateHash, 0, false
	}
	aborted := o.Abort && w.Weight == 0
	name := fmt.Sprintf("canary-%d", w.Weight)
	switch {
	case aborted && !p.abort:
		name = "aborted"
	case w.Weight == p.weight:
		p.abort = p.abort && o.Abort
		return
	}
	p.weight, p.abort = w.Weight, aborted
	p.add(step{s.clock.Now(), name, of(o.StableRS), of(p.canary), w.Weight})
}

func (p *progress) add(st step) { p.queue = append(p.queue, st) }

// emit records the steps whose versions are known, in order.
func (s *steps) emit(p *progress) {
	for len(p.queue) > 0 {
		st := p.queue[0]
		stable, canary := s.versions[st.stable], s.versions[st.canary]
		if stable == "" || canary == "" {
			return
		}
		s.record(history.Event{At: st.at, Kind: history.KindStep, Step: &history.Step{
			Workload: history.Workload{Namespace: st.canary.namespace, Kind: "Rollout", Name: st.canary.owner}, Name: st.name, Stable: stable, Canary: canary, Weight: float64(st.weight),
		}})
		p.queue = p.queue[1:]
	}
}

// finish tells of the steps that could not be recorded. A step without versions would judge the wrong answers.
func (s *steps) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, p := range s.rollouts {
		for _, st := range p.queue {
			s.record(history.Event{Kind: history.KindNote, Note: &history.Note{Text: fmt.Sprintf(
				"step %s of rollout %s/%s at %s is not in the record: the version of ReplicaSet hash %s or %s is unknown: give the pod template the label %s",
				st.name, k.namespace, k.name, st.at, st.stable.hash, st.canary.hash, kube.VersionLabel)}})
		}
		p.queue = nil
	}
}
