// Package conformance runs the scenarios as a Ginkgo suite: those labelled smoke by `go test ./suites/... -count=1`, all of them by
// `go test ./suites/conformance -all -count=1 -timeout 60m`. It ends by saying what it ran and what it left out. The same scenarios run
// from the command line by `rollproof run`.
package conformance
