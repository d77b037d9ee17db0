package reports

import (
	"encoding/json"
	"slices"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// release is one update of a Rollout, as its controller told of it. A moment that did not come is never.
type release struct {
	hash                            string
	version                         string // of its pods; empty when no ReplicaSet tells
	ordered                         bool   // somebody had it promoted past its steps: healing does, and that says nothing of the controller
	began, promoted, aborted, until time.Duration
}

const never = time.Duration(-1)

func (r *release) name() string {
	if r.version == "" {
		return "release " + r.hash
	}
	return r.version
}

// releaseFold gathers the releases of all Rollouts from the changes of them and of their ReplicaSets.
type releaseFold struct {
	all      []*release
	current  map[string]*release // by Rollout
	versions map[string]string   // of pod template hashes, by namespace
}

func newReleaseFold() releaseFold {
	return releaseFold{current: map[string]*release{}, versions: map[string]string{}}
}

// add takes a change. An object that cannot be read says nothing here; the judge names the damage.
func (f *releaseFold) add(at time.Duration, c *history.Change) {
	switch c.Resource {
	case "replicasets":
		var o history.ReplicaSetObject
		if json.Unmarshal(c.Object, &o) == nil && o.Hash != "" && o.Version != "" {
			f.versions[c.Namespace+"/"+o.Hash] = o.Version
		}
	case "rollouts":
		var o history.RolloutObject
		if json.Unmarshal(c.Object, &o) == nil {
			f.rollout(at, c.Namespace, c.Name, &o)
		}
	}
}

func (f *releaseFold) rollout(at time.Duration, namespace, name string, o *history.RolloutObject) {
	key := namespace + "/" + name
	r := f.current[key]
	if r != nil && namespace+"/"+o.CurrentPodHash != r.hash {
		r.until = at
		r = nil
	}
	if r == nil && o.StableRS != "" && o.CurrentPodHash != "" && o.CurrentPodHash != o.StableRS {
		r = &release{hash: namespace + "/" + o.CurrentPodHash, began: at, promoted: never, aborted: never, until: never}
		f.all = append(f.all, r)
	}
	f.current[key] = r
	if r == nil {
		return
	}
	r.ordered = r.ordered || o.PromoteFull
	if r.promoted == never && namespace+"/"+o.StableRS == r.hash {
		r.promoted = at
	}
	if r.aborted == never && o.Abort {
		r.aborted = at
	}
}

// releases are those that the controller was left to decide about, in the order they began in.
func (f *releaseFold) releases() []*release {
	all := slices.DeleteFunc(slices.Clone(f.all), func(r *release) bool { return r.ordered })
	for _, r := range all {
		r.version = f.versions[r.hash]
	}
	return all
}
