//go:build linux && (amd64 || arm64)

package wire

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/penstock/penstock/proxy/stall"
)

// quick reads and writes a TCP connection without notifying Go's scheduler of the system calls. The
// calls do not block and take microseconds. A notification costs about as much as the rest of a
// hit. A scheduler with few processors may also take such a call for a blocking one and give the
// processor to another thread in the middle.
//
// One goroutine may read while another writes. The functions for the calls are created once, so
// that a call allocates nothing.
type quick struct {
	*net.TCPConn
	conn     syscall.RawConn
	in, out  call
	receive  func(fd uintptr) bool
	transmit func(fd uintptr) bool
	again    func() (int, error) // continues a write
	stalls   stall.Bound
	waits    atomic.Int64 // time since which a write waits for the peer, in Unix nanoseconds, or 0
}

// call holds the arguments and results of a system call.
type call struct {
	buf   []byte
	iov   []syscall.Iovec // used instead of buf if not nil
	n     int
	errno syscall.Errno
}

// quicken returns raw with faster calls if it is a TCP connection. A write fails if the peer takes
// nothing for the limit; 0 means no limit.
func quicken(raw net.Conn, limit time.Duration) net.Conn {
	tcp, ok := raw.(*net.TCPConn)
	if !ok {
		return limited(raw, limit)
	}
	conn, err := tcp.SyscallConn()
	if err != nil {
		return limited(raw, limit)
	}
	q := &quick{TCPConn: tcp, conn: conn}
	q.receive, q.transmit, q.again = q.recv, q.send, q.goOn
	q.stalls.Limit(limit)
	return q
}

// calm undoes quicken.
func calm(raw net.Conn, limit time.Duration) net.Conn {
	if q, ok := raw.(*quick); ok {
		return limited(q.TCPConn, limit)
	}
	return raw
}

// SetDeadline sets both deadlines.
func (q *quick) SetDeadline(t time.Time) error {
	return errors.Join(q.SetReadDeadline(t), q.SetWriteDeadline(t))
}

// SetWriteDeadline limits writes in addition to the stall limit.
func (q *quick) SetWriteDeadline(t time.Time) error { return q.stalls.SetWriteDeadline(q.TCPConn, t) }

// stuckSince returns the time since which a write waits for the peer.
func (q *quick) stuckSince() int64 { return q.waits.Load() }

// Read reads from the connection.
func (q *quick) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	q.in = call{buf: p}
	err := q.conn.Read(q.receive)
	n, errno := q.in.n, q.in.errno
	q.in = call{}
	switch {
	case err != nil:
		return 0, err
	case errno != 0:
		return 0, &net.OpError{Op: "read", Net: "tcp", Source: q.LocalAddr(), Addr: q.RemoteAddr(), Err: os.NewSyscallError("recvfrom", errno)}
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

func (q *quick) recv(fd uintptr) bool {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(q.in.buf))), uintptr(len(q.in.buf)), 0, 0, 0)
		switch errno {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		}
		q.in.n, q.in.errno = int(n), errno
		return true
	}
}

// Write writes all of p.
func (q *quick) Write(p []byte) (int, error) {
	q.out = call{buf: p}
	return q.write()
}

// writev writes all parts. It changes iov.
func (q *quick) writev(iov []syscall.Iovec) (int, error) {
	q.out = call{iov: iov}
	return q.write()
}

func (q *quick) write() (int, error) {
	if q.stalls.Dead() {
		q.out = call{}
		return 0, stall.Err
	}
	err := q.conn.Write(q.transmit)
	if err != nil && q.stalls.Limited() && errors.Is(err, os.ErrDeadlineExceeded) {
		err = q.insist(err)
	}
	n, errno := q.out.n, q.out.errno
	q.out = call{}
	if q.waits.Load() != 0 {
		q.waits.Store(0)
	}
	if err == nil && errno != 0 {
		err = &net.OpError{Op: "write", Net: "tcp", Source: q.LocalAddr(), Addr: q.RemoteAddr(), Err: os.NewSyscallError("sendto", errno)}
	}
	return n, err
}

// insist continues a write that a deadline has interrupted, since the deadline may belong to an
// earlier write.
func (q *quick) insist(err error) error {
	begun := time.Now()
	if at := q.waits.Load(); at != 0 {
		begun = time.Unix(0, at)
	}
	_, err = q.stalls.Insist(q.TCPConn, begun, q.out.n, err, q.again)
	return err
}

func (q *quick) goOn() (int, error) {
	err := q.conn.Write(q.transmit)
	return q.out.n, err
}

// wait records that a write waits for the peer. Only then is a deadline necessary.
func (q *quick) wait() {
	if q.waits.Load() == 0 {
		q.waits.Store(time.Now().UnixNano())
	}
	if q.stalls.Limited() {
		q.stalls.Arm(q.TCPConn, time.Now())
	}
}

func (q *quick) send(fd uintptr) bool {
	o := &q.out
	for len(o.buf)+len(o.iov) > 0 {
		n, errno := o.send(fd)
		switch errno {
		case 0:
			o.advance(n)
		case syscall.EINTR:
		case syscall.EAGAIN:
			q.wait()
			return false
		default:
			o.errno = errno
			return true
		}
	}
	return true
}

// send makes one system call.
func (o *call) send(fd uintptr) (int, syscall.Errno) {
	if o.iov == nil {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(o.buf))), uintptr(len(o.buf)), syscall.MSG_NOSIGNAL, 0, 0)
		return int(n), errno
	}
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITEV, fd, uintptr(unsafe.Pointer(unsafe.SliceData(o.iov))), uintptr(len(o.iov)))
	return int(n), errno
}

// advance removes the written bytes.
func (o *call) advance(n int) {
	o.n += n
	if o.iov == nil {
		o.buf = o.buf[n:]
		return
	}
	for len(o.iov) > 0 {
		v := &o.iov[0]
		if size := int(v.Len); n < size {
			v.Base = (*byte)(unsafe.Add(unsafe.Pointer(v.Base), n))
			v.SetLen(size - n)
			return
		}
		n -= int(v.Len)
		o.iov = o.iov[1:]
	}
}

// vector is the memory for the parts of one write.
type vector []syscall.Iovec

// maxVector is the maximum number of parts in one system call.
const maxVector = 1024

// writeParts writes all parts, in one call if raw supports that and the parts are not too many.
func (v *vector) writeParts(raw net.Conn, parts *net.Buffers) error {
	q, ok := raw.(*quick)
	if !ok || len(*parts) > maxVector {
		_, err := parts.WriteTo(raw)
		return err
	}
	iov := (*v)[:0]
	for _, part := range *parts {
		if len(part) > 0 {
			i := syscall.Iovec{Base: unsafe.SliceData(part)}
			i.SetLen(len(part))
			iov = append(iov, i)
		}
	}
	_, err := q.writev(iov)
	iov = iov[:cap(iov)]
	clear(iov)
	*v = iov[:0]
	return err
}
