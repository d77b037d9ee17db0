// Package canary holds the scenarios of a release by canary with automated analysis.
package canary
