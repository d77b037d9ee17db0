package load

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/probe"
)

// What the path arm is like. It is slow enough to cost nothing beside any load, and quick enough that a dead path is noticed within
// a second: where connections are refused or broken by five hits, and where they vanish by ten, each after its deadline.
const (
	pathArm      = "path"
	pathRate     = 20 // hits per second
	pathDeadline = 500 * time.Millisecond
	pathRefused  = 5
	pathVanished = 10
	// pathStall is how long this process may not run before its path hits say nothing: a machine that stands still has no dead path.
	pathStall = 50 * time.Millisecond
)

// Path is the way from this machine to a cluster, up to a node and before anything of the stack: the generator's, not the stack's.
type Path struct {
	// Node is where it ends. While that node is what is disturbed, a failure says nothing of the path.
	Node string
	// Doors are addresses of this machine (host:port) at which a program of the container engine takes connections for the cluster, one
	// for each port: the program of one port can die alone. Every hit knocks at each door. Leave them empty where the kernel itself leads
	// to the node: who refuses a connection then may be the stack.
	Doors []string
	// Disturbed says that the node itself is what is disturbed: that it does not answer says nothing of the path.
	Disturbed bool
}

// PathArm watches a path by requests to url, which a responder on the node answers. It opens a new connection for each hit.
func PathArm(url string, p Path) Arm {
	return Arm{Name: pathArm, Method: http.MethodGet, Targets: []string{url}, Control: true, Path: &p}
}

// forArm is the plan as one arm carries it out.
func (p Plan) forArm(arm Arm) Plan {
	if p.dial == nil {
		p.dial = fromMany(p.Sources, net.Dialer{Timeout: p.Deadline, KeepAlive: 30 * time.Second})
	}
	if arm.Path != nil {
		p.Deadline = pathDeadline
		p.dial = knocking(arm.Path.Doors, p.dial)
	}
	return p
}

// knocking opens and closes a connection to each door before it dials.
func knocking(doors []string, dial dialFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		for _, door := range doors {
			conn, err := dial(ctx, network, door)
			if err != nil {
				return nil, fmt.Errorf("knock at %s: %w", door, err)
			}
			conn.Close()
		}
		return dial(ctx, network, addr)
	}
}

// PathLostError says that the path to the cluster carries nothing any more, which takes less than a second to notice. It ends the window.
type PathLostError struct {
	Node   string
	Reason string // of the last failure
}

func (e *PathLostError) Error() string {
	return fmt.Sprintf("the path to node %s is dead, before anything of the stack: %s", e.Node, e.Reason)
}

// pathWatch sees that the path is dead: hits of the path arm fail in a row, and nobody else gets an answer either. On a machine that is too
// busy the path arm may fail by its deadline while the load is still answered, and that is no dead path.
type pathWatch struct {
	answered atomic.Int64 // when the last hit of another arm was answered, with whatever status

	mu      sync.Mutex
	failing int           // in a row
	refused bool          // one of them, and did not vanish
	since   time.Duration // start of the first of them
	lost    bool
	tell    func(error) // is told once that the path is lost
}

func newPathWatch(tell func(error)) *pathWatch { return &pathWatch{tell: tell} }

// other takes a hit of another arm.
func (w *pathWatch) other(h *history.Hit) {
	if h.Code != 0 {
		raise(&w.answered, int64(h.End()))
	}
}

// see takes a hit of the path arm.
func (w *pathWatch) see(path *Path, h *history.Hit) {
	if path.Disturbed {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !h.Failed() || time.Duration(w.answered.Load()) > h.At {
		w.failing = 0
		return
	}
	if w.failing == 0 || time.Duration(w.answered.Load()) > w.since {
		w.failing, w.refused, w.since = 0, false, h.At
	}
	w.failing++
	w.refused = w.refused || !h.Overdue()
	enough := pathVanished
	if w.refused {
		enough = pathRefused
	}
	if w.failing >= enough && !w.lost {
		w.lost = true
		w.tell(&probe.CutOffError{Err: &PathLostError{Node: path.Node, Reason: h.Error}})
	}
}

// stalled says that this process did not run: what failed until now says nothing.
func (w *pathWatch) stalled() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failing = 0
}
