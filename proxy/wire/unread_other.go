//go:build !linux

package wire

import "net"

// unread is not known elsewhere: a request that comes at the moment its connection is closed for being idle is lost, as HTTP/1.1 allows.
func unread(net.Conn) bool { return false }
