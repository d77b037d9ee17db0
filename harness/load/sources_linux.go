package load

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// loopbackIsARange: on Linux every address of 127.0.0.0/8 is this machine's.
const loopbackIsARange = true

// portAtConnect has the kernel choose the port of a bound address only when it knows where the connection goes: otherwise one port serves one
// connection of the whole machine, and not one to each destination.
func portAtConnect(_, _ string, conn syscall.RawConn) error {
	var failed error
	err := conn.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("choose the port when connecting: %w", err)
	}
	return nil
}
