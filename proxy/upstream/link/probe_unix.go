//go:build unix

package link

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"

	"github.com/penstock/penstock/proxy/upstream/fault"
)

// Probe looks into the receive buffer of a TCP connection.
type Probe struct{ raw syscall.RawConn }

func newProbe(c net.Conn) Probe {
	if sc, ok := c.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			return Probe{raw}
		}
	}
	return Probe{}
}

// Silent reports whether the connection is open and nothing has come that was not read, as it has
// to be before a request. It does not wait for a Read that is under way, as RawConn.Read would.
func (p Probe) Silent() bool {
	if p.raw == nil {
		return true
	}
	silent := false
	err := p.raw.Control(func(fd uintptr) { silent = silentNow(int(fd)) })
	return err == nil && silent
}

// Look is a Probe for many uses. It never allocates.
type Look struct {
	Probe
	peek  func(fd uintptr)
	quiet bool // peek's result

	turn    func(fd uintptr) bool
	out, in []byte // the bytes to write, and the room for the answer
	asked   bool   // out is written
	wrote   int
	n       int
	err     error
}

// At points l at a connection.
func (l *Look) At(p Probe) {
	l.Probe = p
	l.peek = func(fd uintptr) { l.quiet = silentNow(int(fd)) }
	l.turn = func(fd uintptr) bool { return l.step(int(fd)) }
}

// Silent is probe's.
func (l *Look) Silent() bool {
	return l.raw == nil || l.raw.Control(l.peek) == nil && l.quiet
}

// CanWrite reports whether ask can be used.
func (l *Look) CanWrite() bool { return l.raw != nil }

// WriteThenRead writes out to a connection on which no bytes have arrived, and reads the first
// bytes of the answer into in. Looking, writing and waiting take one turn at the poller and save
// two system calls, because the look is the failing read with which a wait begins anyway. If bytes
// had arrived, or the connection was closed, the error is ErrEarly and nothing is written. If the
// wait fails, for instance at its deadline, wrote tells how much was written before. If wrote is
// less than len(out), the caller must write the rest and read the answer itself.
func (l *Look) WriteThenRead(out, in []byte) (wrote, n int, err error) {
	l.out, l.in, l.asked, l.wrote, l.n, l.err = out, in, false, 0, 0, nil
	err = l.raw.Read(l.turn)
	if err == nil {
		err = l.err
	}
	l.out, l.in = nil, nil
	return l.wrote, l.n, err
}

// ReadUnder is like Conn.Read, but holds mu while it takes bytes from the connection, and calls took
// before it releases mu. It does not hold mu while it waits. all is true if no more bytes were there
// to take. Whoever holds mu and finds the connection Silent knows that took was called for all bytes
// that have arrived.
func (l *Look) ReadUnder(mu sync.Locker, in []byte, took func(all bool)) (n int, err error) {
	waitErr := l.raw.Read(func(fd uintptr) bool {
		mu.Lock()
		defer mu.Unlock()
		if n, err = readNow(int(fd), in); n > 0 {
			took(n < len(in))
		}
		return err != syscall.EAGAIN
	})
	if waitErr != nil {
		return 0, waitErr
	}
	return n, err
}

// step is called when ask begins and each time that something may have come. It reports whether ask
// is done.
func (l *Look) step(fd int) bool {
	if l.asked {
		l.n, l.err = readNow(fd, l.in)
		return l.err != syscall.EAGAIN
	}
	if _, err := readNow(fd, l.in[:1]); err != syscall.EAGAIN {
		l.err = fault.ErrEarly
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
