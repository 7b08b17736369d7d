//go:build !linux || !(amd64 || arm64)

package wire

import "net"

// quicken is raw: elsewhere it is quick enough, or nobody has measured it.
func quicken(raw net.Conn) net.Conn { return raw }

// calm undoes quicken.
func calm(raw net.Conn) net.Conn { return raw }

// vector is the memory for the parts of one write.
type vector struct{}

// writeParts writes all parts.
func (*vector) writeParts(raw net.Conn, parts *net.Buffers) error {
	_, err := parts.WriteTo(raw)
	return err
}
