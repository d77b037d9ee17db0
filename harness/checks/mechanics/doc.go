// Package mechanics holds the promises of Kubernetes itself that a rollout without drops rests on: readiness, graceful ends, disruption
// budgets.
package mechanics
