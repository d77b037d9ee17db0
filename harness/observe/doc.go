// Package observe writes what happens in a cluster into the record of a run: every change of the objects that judges look at,
// and the shares of traffic that a Rollout's controller says it has set.
//
// Nothing is missed silently. A watch that drops is resumed where it stopped. Where that is impossible the objects are listed
// again, what differs is recorded, and so is the gap; likewise a time in which the API server did not answer, for changes of
// that time were recorded late. What cannot be noticed is an API server that answers and holds back one watch's events.
package observe
