//go:build !linux

package load

import "syscall"

// loopbackIsARange: elsewhere 127.0.0.1 alone is this machine's.
const loopbackIsARange = false

func portAtConnect(string, string, syscall.RawConn) error { return nil }
