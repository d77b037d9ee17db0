package load

import (
	"bufio"
	"errors"
	"net"
	"strings"
	"testing"

	"bitvault.dev/rollproof/harness/history"
)

// What the transport has not given back as idle, or is only about to dial, ends with the window too.
func TestNoConnectionOutlivesItsWindow(t *testing.T) {
	gone := make(chan error, 1)
	url := rawServer(t, func(_ *net.TCPConn, requests *bufio.Reader) {
		_, err := requests.ReadByte()
		gone <- err
	})
	count := &connCount{}
	h := newHitter(Plan{}.withDefaults(), arms(t, url, "get")[0], history.NewClock(), "test", 1, count, 1)
	dial := func() error {
		conn, err := h.transport.DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
		if err == nil {
			t.Cleanup(func() { _ = conn.Close() }) // or a test that failed would wait for the server
		}
		return err
	}
	if err := dial(); err != nil || count.open.Load() != 1 {
		t.Fatalf("dialled with %v, %d connections are open", err, count.open.Load())
	}
	h.close()
	if open := count.open.Load(); open != 0 {
		t.Fatalf("%d connections are open after the end", open)
	}
	if err := <-gone; err == nil {
		t.Error("the server was sent something")
	}
	if err := dial(); !errors.Is(err, net.ErrClosed) || count.open.Load() != 0 || count.most.Load() != 1 {
		t.Errorf("a late dial gives %v, %d connections are open, %d at most", err, count.open.Load(), count.most.Load())
	}
}
