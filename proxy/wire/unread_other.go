//go:build !linux

package wire

import "net"

// unread returns false, because this system does not tell. If a request arrives at the moment its
// idle connection is closed, the request is lost, as HTTP/1.1 allows.
func unread(net.Conn) bool { return false }
