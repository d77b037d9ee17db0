package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
)

// meteredConn counts what comes over a connection of HTTP/1.1, to see bytes beyond the end of an answer: net/http reads as many as
// Content-Length says, and closes the connection in silence over the rest. It counts from begin on, one answer after the other.
type meteredConn struct {
	net.Conn
	late *atomic.Uint64 // connections over which bytes came after an answer was whole

	mu    sync.Mutex
	asked bool // a request is under way
	told  bool // in late
	head  head
	turn  uint64 // of the request that is, or was last
	body  uint64 // bytes after the head of its answer
	// before is the body of the turn before: its hit may still be at work on the whole answer when the transport gives the connection to the
	// next.
	before uint64
}

// begin says that a request is sent next, and returns its turn.
func (c *meteredConn) begin() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn++
	c.asked, c.head, c.before, c.body = true, head{}, c.body, 0
	return c.turn
}

// end says that the answer of a turn is whole, and returns how many bytes came beyond it. length is that of its body; a negative one is not
// known, and then nothing is beyond.
func (c *meteredConn) end(turn uint64, length int64) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	came := uint64(0)
	switch c.turn {
	case turn:
		came, c.asked = c.body, false
	case turn + 1:
		came = c.before
	}
	if length < 0 || came <= uint64(length) {
		return 0
	}
	c.told = true
	return came - uint64(length)
}

func (c *meteredConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.saw(p[:n])
	}
	return n, err
}

func (c *meteredConn) saw(part []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.turn == 0: // it is not metered: what comes is TLS
		return
	case !c.asked:
		c.unasked(part)
		return
	}
	c.body += uint64(len(c.head.skip(part)))
}

// unasked counts a connection over which bytes came that belong to no request. A server may say so that it gives up waiting for one.
func (c *meteredConn) unasked(part []byte) {
	if c.told || bytes.HasPrefix(part, []byte("HTTP/1.1 408")) || bytes.HasPrefix(part, []byte("HTTP/1.0 408")) {
		return
	}
	c.told = true
	c.late.Add(1)
}

// head finds the end of an answer's head, past those of informational answers (1xx).
type head struct {
	ended bool
	lines int  // that have ended
	line  int  // bytes of the current line, without its end
	class byte // first digit of the status
}

// statusAt is where the status begins in a status line, as in "HTTP/1.1 200 OK".
const statusAt = len("HTTP/1.1 ")

// skip returns what of the part is beyond the head.
func (h *head) skip(part []byte) []byte {
	for !h.ended && len(part) > 0 {
		end := bytes.IndexByte(part, '\n')
		text := part
		if end >= 0 {
			text, part = part[:end], part[end+1:]
		} else {
			part = nil
		}
		if at := statusAt - h.line; h.lines == 0 && at >= 0 && at < len(text) {
			h.class = text[at]
		}
		h.line += len(bytes.TrimSuffix(text, []byte{'\r'}))
		if end < 0 {
			break
		}
		if h.line > 0 || h.lines == 0 {
			h.lines, h.line = h.lines+1, 0
			continue
		}
		if h.class == '1' {
			*h = head{}
			continue
		}
		h.ended = true
	}
	return part
}

// metered makes connections that are metered.
func (h *hitter) metered(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &meteredConn{Conn: conn, late: &h.late}, nil
	}
}

// overTLS makes connections whose TLS is agreed on, so that what is metered is what was encrypted.
func (h *hitter) overTLS(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		config := h.plan.TLS.Clone()
		if config == nil {
			config = &tls.Config{}
		}
		if config.ServerName == "" {
			if config.ServerName, _, err = net.SplitHostPort(addr); err != nil {
				conn.Close()
				return nil, fmt.Errorf("name the server for TLS: %w", err)
			}
		}
		secure := tls.Client(conn, config)
		ctx, cancel := context.WithTimeout(ctx, h.plan.Deadline)
		defer cancel()
		if err := secure.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, err
		}
		return secure, nil
	}
}
