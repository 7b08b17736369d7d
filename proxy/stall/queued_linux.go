package stall

import (
	"net"
	"syscall"
	"unsafe"
)

// Queued returns the number of bytes written to c that its peer has not acknowledged, or -1 if it
// is unknown.
func Queued(c net.Conn) int {
	sys, ok := c.(syscall.Conn)
	if !ok {
		return -1
	}
	raw, err := sys.SyscallConn()
	if err != nil {
		return -1
	}
	queued := int32(-1)
	err = raw.Control(func(fd uintptr) {
		var n int32
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&n))); errno == 0 {
			queued = n
		}
	})
	if err != nil {
		return -1
	}
	return int(queued)
}
