package load

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
)

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// connCount counts the open connections of a window's arms.
type connCount struct {
	open atomic.Int64
	most atomic.Int64
}

// conns are the open connections of one arm in one window.
type conns struct {
	dial  dialFunc
	count *connCount

	mu     sync.Mutex
	open   map[*countedConn]bool
	closed bool
}

func newConns(dial dialFunc, count *connCount) *conns {
	return &conns{dial: dial, count: count, open: map[*countedConn]bool{}}
}

// DialContext is a dialFunc.
func (c *conns) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := c.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errors.Join(net.ErrClosed, conn.Close())
	}
	counted := &countedConn{Conn: conn, of: c}
	c.open[counted] = true
	raise(&c.count.most, c.count.open.Add(1))
	return counted, nil
}

// close closes every connection, also one that is dialled later.
func (c *conns) close() {
	c.mu.Lock()
	open := c.open
	c.open, c.closed = nil, true
	c.mu.Unlock()
	for conn := range open {
		_ = conn.Close() // nobody uses it any more
	}
}

type countedConn struct {
	net.Conn
	of     *conns
	closed atomic.Bool
}

func (c *countedConn) Close() error {
	if !c.closed.Swap(true) {
		c.of.count.open.Add(-1)
		c.of.mu.Lock()
		delete(c.of.open, c)
		c.of.mu.Unlock()
	}
	return c.Conn.Close()
}
