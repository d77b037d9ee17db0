// Package kind is clusters of our own: kind in a container engine, with a registry beside each.
//
// A cluster of ours is one only when our own checks passed (ready.go). What is made is recorded before it is made and removed by the
// next start when its maker died (record.go, down.go). Only a cluster that is proven to be ours is disturbed as such (site.go).
package kind

import (
	"context"

	"bitvault.dev/rollproof/harness/site"
)

// provider is what Status calls this kind of site.
const provider = "kind"

// Cluster is a handle on a running cluster of ours.
type Cluster struct {
	site.Handle
	Registry string // host:port of the registry beside it as this machine reaches it

	uid       string // recorded identity, "" until it was finished
	nodes     int    // how many it must have, 0 when unknown
	probeAddr string // where this machine reaches ProbeNodePort
	pathNode  string // where the path ends, "" when nothing of ours answers there
	doors     []string

	// NodeShares is how much of the CPU each node gets where others want it too, of the 1024 that everything has by default; 0: as everything.
	NodeShares int64
}

// ProbeURL is where this machine reaches ProbeNodePort of the cluster.
func (c *Cluster) ProbeURL() string {
	if c.probeAddr == "" {
		return ""
	}
	return "http://" + loopback(c.probeAddr)
}

// CreatedByUs reports whether this live cluster is one that rollproof made and finished: its kube-system namespace must be the one that
// was recorded then. A name proves nothing, since anybody can make a cluster of the same name.
func (c *Cluster) CreatedByUs(ctx context.Context) (bool, error) {
	if c.uid == "" {
		return false, nil
	}
	uid, err := c.UID(ctx)
	if err != nil {
		return false, err
	}
	return uid == c.uid, nil
}
