// Package mechanics holds the scenarios of what keeps requests from being dropped: readiness, graceful ends, disruption budgets.
package mechanics
