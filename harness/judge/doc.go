// Package judge turns the record of a run into verdicts. It is the engine only: what is promised, and by what evidence it is judged, the
// packages below checks say. A check is a pure function of the record: it can be repeated without a cluster, and gives the same answer
// every time.
package judge
