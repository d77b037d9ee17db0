package load

import (
	"net"
	"testing"
)

// Connections to the loopback range come from many addresses, so that no port is used again soon; what goes elsewhere is left alone.
func TestConnectionsAreSpreadOverSources(t *testing.T) {
	if !loopbackIsARange {
		t.Skip("127.0.0.1 alone is this machine's on this system")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, c := range []struct{ sources, want int }{{0, 1}, {1, 1}, {4, 4}} {
		dial := fromMany(c.sources, net.Dialer{})
		seen := map[string]bool{}
		for range 12 {
			conn, err := dial(t.Context(), "tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			seen[conn.LocalAddr().(*net.TCPAddr).IP.String()] = true
			conn.Close()
		}
		if len(seen) != c.want {
			t.Errorf("%d sources: connections came from %v, want %d addresses", c.sources, seen, c.want)
		}
	}
}

func TestOtherTargetsKeepTheSystemsSource(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6 loopback here: %v", err)
	}
	defer l.Close()
	conn, err := fromMany(8, net.Dialer{})(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if ip := conn.LocalAddr().(*net.TCPAddr).IP; !ip.IsLoopback() || ip.To4() != nil {
		t.Errorf("it came from %s", ip)
	}
}
