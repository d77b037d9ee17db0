// Package stack holds the promises on the stack as a whole: that nothing is left broken.
package stack
