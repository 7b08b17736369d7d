//go:build !linux || !(amd64 || arm64)

package wire

import (
	"net"
	"time"
)

// quicken limits writes. Faster calls are not implemented for this system.
func quicken(raw net.Conn, limit time.Duration) net.Conn { return limited(raw, limit) }

// calm undoes quicken.
func calm(raw net.Conn, _ time.Duration) net.Conn { return raw }

// vector is the memory for the parts of one write.
type vector struct{}

// writeParts writes all parts.
func (*vector) writeParts(raw net.Conn, parts *net.Buffers) error {
	_, err := parts.WriteTo(raw)
	return err
}
