// Package words puts numbers into words, as verdicts and reports show them.
package words
