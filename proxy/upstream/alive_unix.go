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
	err := p.raw.Control(func(fd uintptr) { silent = silentNow(int(fd)) })
	return err == nil && silent
}

// look is a probe for many uses, none of which allocates.
type look struct {
	probe
	peek  func(fd uintptr)
	quiet bool // what peek found

	turn    func(fd uintptr) bool
	out, in []byte // what ask is to write and to read into
	asked   bool   // out is written
	wrote   int
	n       int
	err     error
}

func (l *look) at(p probe) {
	l.probe = p
	l.peek = func(fd uintptr) { l.quiet = silentNow(int(fd)) }
	l.turn = func(fd uintptr) bool { return l.step(int(fd)) }
}

// silent is probe's.
func (l *look) silent() bool {
	return l.raw == nil || l.raw.Control(l.peek) == nil && l.quiet
}

// asks reports whether ask can be used.
func (l *look) asks() bool { return l.raw != nil }

// ask writes out to a connection on which nothing has come, and reads the first of what comes then into in. To look, to write and to wait are one turn at
// the poller, of two calls of the system less than one after another: looking is the read that finds nothing, with which a wait begins anyway. An
// error of the wait, as the deadline's, comes with wrote unless it came before the look. errEarly says that something had come, or that the connection
// was closed; then nothing is written. wrote may be less than out: the rest is to be written, and the answer to be read, by other means.
func (l *look) ask(out, in []byte) (wrote, n int, err error) {
	l.out, l.in, l.asked, l.wrote, l.n, l.err = out, in, false, 0, 0, nil
	err = l.raw.Read(l.turn)
	if err == nil {
		err = l.err
	}
	l.out, l.in = nil, nil
	return l.wrote, l.n, err
}

// step is called when ask begins and each time that something may have come. It reports whether ask is done.
func (l *look) step(fd int) bool {
	if l.asked {
		l.n, l.err = readNow(fd, l.in)
		return l.err != syscall.EAGAIN
	}
	if _, err := readNow(fd, l.in[:1]); err != syscall.EAGAIN {
		l.err = errEarly
		return true
	}
	l.asked = true
	for {
		n, err := syscall.Write(fd, l.out)
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return true
		case err != nil:
			l.err = os.NewSyscallError("write", err)
			return true
		default:
			l.wrote = n
			return n < len(l.out)
		}
	}
}

func silentNow(fd int) bool {
	var one [1]byte
	_, _, err := syscall.Recvfrom(fd, one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return err == syscall.EAGAIN || err == syscall.EWOULDBLOCK || err == syscall.EINTR
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
