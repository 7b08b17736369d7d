//go:build unix

package upstream

import (
	"io"
	"net"
	"os"
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

// reads reports whether read can be used.
func (p probe) reads() bool { return p.raw != nil }

// read reads what has come into b, which is not empty, waiting for it as net.Conn.Read does. attempt is given each try that does not wait: what it
// does besides is one step with the reading, so that bytes are either in the receive buffer or known to have been read, never between.
func (p probe) read(b []byte, attempt func(try func() (int, error)) (int, error)) (int, error) {
	var n int
	var err error
	wait := p.raw.Read(func(fd uintptr) bool {
		n, err = attempt(func() (int, error) { return readNow(int(fd), b) })
		return err != syscall.EAGAIN
	})
	if wait != nil {
		return 0, wait
	}
	return n, err
}

// readNow is read(2) with the results of an io.Reader.
func readNow(fd int, b []byte) (int, error) {
	for {
		n, err := syscall.Read(fd, b)
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return 0, err
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}
