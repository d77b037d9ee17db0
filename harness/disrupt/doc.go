// Package disrupt disturbs a cluster on purpose: releases, drains, kills. A scenario names a disturbance as a value; Env
// performs it, records each of its phases, and heals it.
//
// A disturbance has landed only when it was seen to: evidence is made by looking at the cluster, never by having asked for
// something. What must be undone is written down before it is done, so that Env.Heal undoes it also after a failure, a panic or an
// interrupt in the middle. Nothing is touched that the guard does not allow.
package disrupt
