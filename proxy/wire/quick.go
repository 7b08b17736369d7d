//go:build linux && (amd64 || arm64)

package wire

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// quick reads from and writes to a TCP connection without telling Go's scheduler of the system calls. They don't block, and take microseconds; to be
// told would cost about as much as the rest of a hit, and the scheduler, where it has few processors, would take them for calls that hang, and give
// the processor to another thread in the middle.
//
// It may be read by one goroutine and written to by another at a time. What does the call is made once, for it to allocate nothing.
type quick struct {
	*net.TCPConn
	conn     syscall.RawConn
	in, out  call
	receive  func(fd uintptr) bool
	transmit func(fd uintptr) bool
}

// call is a system call's argument and result.
type call struct {
	buf   []byte
	iov   []syscall.Iovec // instead of buf
	n     int
	errno syscall.Errno
}

// quicken is raw with quicker calls, if it is a TCP connection.
func quicken(raw net.Conn) net.Conn {
	tcp, ok := raw.(*net.TCPConn)
	if !ok {
		return raw
	}
	conn, err := tcp.SyscallConn()
	if err != nil {
		return raw
	}
	q := &quick{TCPConn: tcp, conn: conn}
	q.receive, q.transmit = q.recv, q.send
	return q
}

// calm is what raw would be without quicker calls, for use by several writers.
func calm(raw net.Conn) net.Conn {
	if q, ok := raw.(*quick); ok {
		return q.TCPConn
	}
	return raw
}

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

// writev writes all of the parts. It changes iov.
func (q *quick) writev(iov []syscall.Iovec) (int, error) {
	q.out = call{iov: iov}
	return q.write()
}

func (q *quick) write() (int, error) {
	err := q.conn.Write(q.transmit)
	n, errno := q.out.n, q.out.errno
	q.out = call{}
	if err == nil && errno != 0 {
		err = &net.OpError{Op: "write", Net: "tcp", Source: q.LocalAddr(), Addr: q.RemoteAddr(), Err: os.NewSyscallError("sendto", errno)}
	}
	return n, err
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
			return false
		default:
			o.errno = errno
			return true
		}
	}
	return true
}

// send is one call.
func (o *call) send(fd uintptr) (int, syscall.Errno) {
	if o.iov == nil {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(o.buf))), uintptr(len(o.buf)), syscall.MSG_NOSIGNAL, 0, 0)
		return int(n), errno
	}
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITEV, fd, uintptr(unsafe.Pointer(unsafe.SliceData(o.iov))), uintptr(len(o.iov)))
	return int(n), errno
}

// advance takes off what has been written.
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

// maxVector is what the kernel takes in one call.
const maxVector = 1024

// writeParts writes all parts in one call, if raw can and they are not too many for it.
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
