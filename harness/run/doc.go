// Package run performs scenarios: it sets the stack up, observes it, keeps load on it, acts, heals, lets it settle and judges
// the record. Whatever happens on the way (an act that fails or panics, Ctrl-C, a cluster that is gone) the load is stopped,
// everything disturbed is healed, and the record is closed with the reason, in this order.
package run
