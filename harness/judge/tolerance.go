package judge

import (
	"time"
)

// Tolerance is by how much what a record tells of may trail what happened. Several checks rest on it.
type Tolerance struct {
	Propagation time.Duration `json:"propagation"` // until routers follow a change of readiness or of weights
	Watch       time.Duration `json:"watch"`       // by how much a watch may tell of readiness later than routers act on it
}

// DefaultTolerance covers Traefik's providersThrottleDuration of 2 s and a slow EndpointSlice update on a busy machine.
func DefaultTolerance() Tolerance { return Tolerance{Propagation: 5 * time.Second, Watch: time.Second} }
