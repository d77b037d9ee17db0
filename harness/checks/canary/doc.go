// Package canary holds the promises on canary releases with automated analysis.
package canary
