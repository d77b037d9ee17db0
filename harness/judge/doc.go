// Package judge turns the record of a run into verdicts. A check is a pure function of the record: it can be repeated without
// a cluster, and gives the same answer every time.
package judge
