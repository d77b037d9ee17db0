// Package engine plants faults under the engine itself: servers that misbehave on purpose and generators made sick. For each
// there is a judge that must turn red or inconclusive, and a run without any fault that must be green. No cluster is needed.
package engine
