package load

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
)

// Sources are the addresses of this machine that connections to its loopback range are made from, one after another.
//
// A way to a cluster translates addresses on its way, and a port that is used again within a minute finds the last connection still known there,
// waiting for late packets: the kernel of the node answers for that one, and the new connection is delayed by a second or reset. At 500 new
// connections a second one address has used all its ports within that minute.
const Sources = 32

// fromMany makes connections to loopback addresses come from many of them. Others are left alone.
func fromMany(n int, dialer net.Dialer) dialFunc {
	if n < 2 || !loopbackIsARange {
		return dialer.DialContext
	}
	var next atomic.Uint32
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		d := dialer
		if target, err := netip.ParseAddrPort(addr); err == nil && target.Addr().Is4() && target.Addr().IsLoopback() {
			d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+next.Add(1)%uint32(n)))}
			d.Control = portAtConnect
		}
		return d.DialContext(ctx, network, addr)
	}
}
