package supervise

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"sync"
	"syscall"
)

// Child is a process under supervision, as it sees itself.
type Child struct {
	orders io.Reader

	mu      sync.Mutex
	reports *json.Encoder
}

// Adopt says whether this process runs under supervision. If so os.Stderr is the real standard error from now on. Call it first of all.
func Adopt() (*Child, bool) {
	supervisor := os.Getenv(mark)
	if supervisor == "" || supervisor != strconv.Itoa(os.Getppid()) {
		return nil, false
	}
	_ = os.Unsetenv(mark) // of the children of this process nobody is the supervisor; a set variable can always be unset
	for _, fd := range []int{stderrFD, ordersFD, reportFD} {
		syscall.CloseOnExec(fd)
	}
	os.Stderr = os.NewFile(stderrFD, os.Stderr.Name())
	debug.SetTraceback("all") // who crashed is often not who is to blame
	// A reader that is gone makes writing fail, and must not end a process that has something to heal.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	return &Child{
		orders:  os.NewFile(ordersFD, "orders of the supervisor"),
		reports: json.NewEncoder(os.NewFile(reportFD, "reports to the supervisor")),
	}, true
}

// Interrupts tells of each demand to end, once, however it came: to this process, to its supervisor, or to both as a Ctrl-C does. When
// the supervisor is gone, gone is called: it was killed, and so should this process be.
func (c *Child) Interrupts(gone func()) <-chan os.Signal {
	out := make(chan os.Signal, 8)
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, endings()...)
	orders := make(chan os.Signal)
	go func() {
		defer close(orders)
		one := make([]byte, 1)
		for {
			if _, err := io.ReadFull(c.orders, one); err != nil {
				return
			}
			orders <- syscall.Signal(one[0])
		}
	}()
	go func() {
		own, relayed, told := 0, 0, 0
		var demand demands
		for {
			var got os.Signal
			select {
			case got = <-signals:
				own++
			case order, more := <-orders:
				if !more {
					gone()
					return
				}
				got = order
				relayed++
			}
			if max(own, relayed) > told {
				told++
				if demand.isNew(got) {
					out <- got
				}
			}
		}
	}()
	return out
}

// Announce tells the exit code that this process ends with now, in order.
func (c *Child) Announce(code int) { c.tell(report{Exit: &code}) }

// Abandon ends this process at once; its supervisor says what that leaves behind.
func (c *Child) Abandon(code int) {
	c.tell(report{Exit: &code, Abandoned: true})
	os.Exit(code)
}

func (c *Child) tell(r report) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.reports.Encode(r) // without a supervisor there is nobody to tell
}

type contextKey struct{}

// NewContext carries a child to where its runs begin.
func NewContext(ctx context.Context, c *Child) context.Context {
	return context.WithValue(ctx, contextKey{}, c)
}

// Recording tells the supervisor of the run that has just begun, so that it can say what a crash leaves behind. Without one it does nothing.
func Recording(ctx context.Context, dir string) {
	if c, ok := ctx.Value(contextKey{}).(*Child); ok {
		c.tell(report{Recording: dir})
	}
}
