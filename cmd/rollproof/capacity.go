package main

import (
	"path/filepath"
	"slices"

	"bitvault.dev/rollproof/harness/images"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/load"
	"bitvault.dev/rollproof/harness/progress"
)

// Rates are remembered by what they went to: a cluster takes CPU from the machine of the generator, another target may not.
const (
	carriedCluster = "cluster"
	carriedAttack  = "attack"
)

// carried remembers the rates that this machine was seen to carry.
func carried() (load.Carried, error) {
	cache, err := images.CacheDir()
	if err != nil {
		return load.Carried{}, err
	}
	return load.OpenCarried(filepath.Join(cache, "carried.json")), nil
}

// warnBeyond says, before load begins, that a rate is beyond what this machine was seen to carry.
func warnBeyond(show *progress.Display, kind string, rate float64) {
	if memory, err := carried(); err == nil {
		if beyond := memory.Beyond(kind, rate); beyond != "" {
			show.Say("%s", beyond)
		}
	}
}

// rememberCarried notes a rate when the run shows that the load was held. An error costs the next run its warning only, so it is not reported.
func rememberCarried(kind string, rate float64, result judge.Result) {
	held := slices.ContainsFunc(result.Promises, func(p judge.Promise) bool { return p.Slug == "load.held" && p.Verdict == judge.Pass })
	if !held {
		return
	}
	if memory, err := carried(); err == nil {
		_ = memory.Saw(kind, rate)
	}
}
