//go:build unix

package upstream

import (
	"net"
	"syscall"
)

// probe looks into the receive buffer of a TCP connection.
type probe struct{ raw syscall.RawConn }

func newProbe(c net.Conn) probe {
	if sc, ok := c.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			return probe{raw}
		}
	}
	return probe{}
}

// silent reports whether the connection is open and nothing has come that was not read, as it has to be before a request. It does not wait for a Read
// that is under way, as RawConn.Read would.
func (p probe) silent() bool {
	if p.raw == nil {
		return true
	}
	silent := false
	err := p.raw.Control(func(fd uintptr) {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		silent = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK || err == syscall.EINTR
	})
	return err == nil && silent
}
