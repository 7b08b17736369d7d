//go:build linux

// Floor answers every request with the same bytes, from a bare loop around epoll. It parses nothing, counts nothing and can do nothing
// else: what it takes is what the sockets take, and no server is below it.
//
//	floor ADDRESS BYTES
package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"syscall"
)

func main() {
	fmt.Fprintln(os.Stderr, "floor:", run(os.Args[1:]))
	os.Exit(1)
}

// run serves until it fails.
func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("use: floor ADDRESS BYTES")
	}
	address, err := netip.ParseAddrPort(args[0])
	if err != nil {
		return err
	}
	size, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	listener, err := listen(address)
	if err != nil {
		return err
	}
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", size)
	return loop(listener, append([]byte(head), bytes.Repeat([]byte("x"), size)...))
}

func listen(address netip.AddrPort) (int, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return 0, err
	}
	_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: int(address.Port()), Addr: address.Addr().As4()}); err != nil {
		return 0, err
	}
	return fd, syscall.Listen(fd, 4096)
}

func loop(listener int, answer []byte) error {
	poll, err := syscall.EpollCreate1(0)
	if err != nil {
		return err
	}
	if err := watch(poll, syscall.EPOLL_CTL_ADD, listener, syscall.EPOLLIN); err != nil {
		return err
	}
	events, buf := make([]syscall.EpollEvent, 512), make([]byte, 16<<10)
	unsent := map[int][]byte{}
	for {
		n, err := syscall.EpollWait(poll, events, -1)
		if err != nil && err != syscall.EINTR {
			return err
		}
		for _, e := range events[:max(n, 0)] {
			fd := int(e.Fd)
			if fd == listener {
				accept(poll, listener)
				continue
			}
			if !serve(poll, fd, buf, answer, unsent) {
				delete(unsent, fd)
				_ = syscall.Close(fd)
			}
		}
	}
}

func watch(poll, op, fd int, events uint32) error {
	return syscall.EpollCtl(poll, op, fd, &syscall.EpollEvent{Events: events, Fd: int32(fd)})
}

func accept(poll, listener int) {
	for {
		fd, _, err := syscall.Accept4(listener, syscall.SOCK_NONBLOCK)
		if err != nil {
			return
		}
		_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
		_ = watch(poll, syscall.EPOLL_CTL_ADD, fd, syscall.EPOLLIN)
	}
}

// serve answers one request, or goes on with an answer for which there was no room. It is false when the connection has ended.
func serve(poll, fd int, buf, answer []byte, unsent map[int][]byte) bool {
	rest, waiting := unsent[fd]
	if !waiting {
		n, err := syscall.Read(fd, buf)
		if err == syscall.EAGAIN {
			return true
		}
		if err != nil || n <= 0 {
			return false
		}
		rest = answer
	}
	n, err := syscall.Write(fd, rest)
	if err != nil && err != syscall.EAGAIN {
		return false
	}
	rest = rest[max(n, 0):]
	switch {
	case len(rest) > 0:
		unsent[fd] = rest
		_ = watch(poll, syscall.EPOLL_CTL_MOD, fd, syscall.EPOLLOUT)
	case waiting:
		delete(unsent, fd)
		_ = watch(poll, syscall.EPOLL_CTL_MOD, fd, syscall.EPOLLIN)
	}
	return true
}
