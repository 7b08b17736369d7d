package wire

import (
	"net"
	"syscall"
)

// unread reports whether the kernel holds unread bytes of a client, which may be a request.
func unread(nc net.Conn) bool {
	for {
		switch c := nc.(type) {
		case interface{ NetConn() net.Conn }:
			nc = c.NetConn()
			continue
		case syscall.Conn:
			return peek(c)
		}
		return false
	}
}

func peek(c syscall.Conn) bool {
	conn, err := c.SyscallConn()
	if err != nil {
		return false
	}
	n := 0
	err = conn.Control(func(fd uintptr) {
		var b [1]byte
		n, _, _ = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	return err == nil && n > 0
}
