package timeline

import (
	"slices"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/resource"
)

// Identity tells one release of one workload from every other. A version alone does not: that of another workload, or another release,
// may have the same name.
type Identity struct {
	Workload history.Workload
	Version  string // as its answers tell it
	Hash     string // pod template hash; empty where nobody told it

	alone bool // watches saw one release of the workload that carries the version, and no other
}

// bare reports whether the record knows workloads by nothing but the versions of their releases, as those of format 1 do.
func (t *Timeline) bare() bool { return t.Run.Format == 1 }

// Serves reports whether the answers of an arm come from a workload.
func (t *Timeline) Serves(arm *Arm, w history.Workload) bool { return t.bare() || arm.Workload == w }

// SameWorkload reports whether what was recorded of two workloads is of one.
func (t *Timeline) SameWorkload(a, b history.Workload) bool { return t.bare() || a == b }

// Claims reports whether an answer that an arm got says that it is of a release. It is enough to speak against the release; what speaks
// for it asks Gave.
func (t *Timeline) Claims(id *Identity, arm *Arm, h *history.Hit) bool {
	return h.Version != "" && h.Version == id.Version && t.Serves(arm, id.Workload)
}

// Gave reports whether a release gave the answer that an arm got: the arm's answers come from its workload, the answer tells its version, and
// the pod that gave it, where a watch saw it, is one of the release. Where no pod tells, watches must have seen that the version is of one release only.
func (t *Timeline) Gave(id *Identity, arm *Arm, h *history.Hit) bool {
	switch {
	case !t.Claims(id, arm, h):
		return false
	case t.bare():
		return true
	case id.Workload.IsZero():
		return false
	}
	if hash := t.hashOfPod(arm, h); hash != "" && id.Hash != "" {
		return hash == id.Hash
	}
	return id.alone
}

// hashOfPod is the pod template hash of the pod that gave an answer; empty when no watch tells.
func (t *Timeline) hashOfPod(arm *Arm, h *history.Hit) string {
	hash := ""
	for _, pod := range t.named[h.Pod] {
		if pod.in(arm.Workload.Namespace) && (hash == "" || pod.Seen <= h.End()) {
			hash = pod.Hash
		}
	}
	return hash
}

// identify fills in what the ReplicaSets tell of a release.
func (t *Timeline) identify(id *Identity) {
	var hashes []string
	for _, rs := range t.Cluster.ReplicaSets {
		o := rs.Last()
		if o.Version == id.Version && o.Hash != "" && ownedBy(rs, id.Workload) && !slices.Contains(hashes, o.Hash) {
			hashes = append(hashes, o.Hash)
		}
	}
	if id.Hash == "" && len(hashes) == 1 {
		id.Hash = hashes[0]
	}
	id.alone = len(hashes) == 1 && hashes[0] == id.Hash
}

func ownedBy(rs *Track[resource.ReplicaSet], w history.Workload) bool {
	owner := rs.Last().Owner
	return owner != nil && rs.Namespace == w.Namespace && owner.Kind == w.Kind && owner.Name == w.Name
}
