package kind

import (
	"context"
	"fmt"
	"slices"
	"time"

	"bitvault.dev/rollproof/harness/words"
)

// power stops and starts the nodes of one cluster, and no other container of such a name.
type power struct {
	cluster string
	engine  engine
}

// powerTimeout bounds how long the engine may take to stop or start a node.
const powerTimeout = time.Minute

// StopNode ends everything on a node at once, as if its plug were pulled. What the kernel holds for its disks is not lost: it is this machine's.
func (p power) StopNode(ctx context.Context, node string) error { return p.turn(ctx, node, false) }

// StartNode lets a node run again. One that runs is no error.
func (p power) StartNode(ctx context.Context, node string) error { return p.turn(ctx, node, true) }

// NodeRuns reports whether the node's container runs.
func (p power) NodeRuns(ctx context.Context, node string) (bool, error) {
	c, err := p.find(ctx, node)
	return c.Running, err
}

// turn switches a node on or off until the engine says that it is. Once may not be enough: see thaw.
func (p power) turn(ctx context.Context, node string, on bool) error {
	if _, err := p.find(ctx, node); err != nil {
		return err
	}
	return poll(ctx, fmt.Sprintf("node %s to run: %v", node, on), powerTimeout, func(ctx context.Context) (bool, string) {
		c, err := p.find(ctx, node)
		if err != nil {
			return false, words.OneLine(err.Error())
		}
		if c.Running == on {
			return true, ""
		}
		if on {
			err = p.engine.resume(ctx, c.ID)
		} else {
			err = p.engine.kill(ctx, c.ID)
		}
		if err != nil {
			return false, words.OneLine(err.Error())
		}
		return false, "the engine was told to"
	})
}

func (p power) find(ctx context.Context, node string) (runningContainer, error) {
	all, err := p.engine.containers(ctx, labelKind+"="+p.cluster)
	if err != nil {
		return runningContainer{}, fmt.Errorf("look for node %s: %w", node, err)
	}
	i := slices.IndexFunc(all, func(c runningContainer) bool { return c.Name == node })
	if i < 0 {
		return runningContainer{}, fmt.Errorf("cluster %s has no node %s", p.cluster, node)
	}
	return all[i], nil
}
