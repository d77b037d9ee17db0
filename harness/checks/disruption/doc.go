// Package disruption holds the promises on what is disturbed: that it really was.
package disruption
