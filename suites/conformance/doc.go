// Package conformance runs the scenarios as a Ginkgo suite: `go test ./suites/... -count=1 -timeout 60m`. The same scenarios run from
// the command line by `rollproof run`.
package conformance
