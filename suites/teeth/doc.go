// Package teeth plants a fault under each check on the real stack, as a Ginkgo suite. It runs only when asked:
// `go test ./suites/teeth -teeth -count=1 -timeout 90m`. `rollproof teeth` does the same and prints the matrix.
package teeth
