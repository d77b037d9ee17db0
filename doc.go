// Package rollproof is the root of a harness that proves rollouts drop nothing; the code lives in harness, fixtures,
// scenarios, suites, reports and cmd.
package rollproof
