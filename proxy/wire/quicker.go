package wire

import (
	"errors"
	"net"
	"time"

	"github.com/penstock/penstock/proxy/stall"
)

// Quick returns c with faster reads and writes if raw, the connection below c, is a TCP connection.
// A write fails if the client takes nothing for the limit; 0 means no limit. Close and the
// addresses are those of c. One goroutine may read while another writes, as TLS does.
func Quick(c, raw net.Conn, limit time.Duration) net.Conn {
	if q := quicken(raw, limit); q != raw {
		return &quicker{c, q}
	}
	return c
}

// limited returns raw with writes that fail if the peer takes nothing for the limit.
func limited(raw net.Conn, limit time.Duration) net.Conn {
	if limit <= 0 {
		return raw
	}
	return stall.New(raw, limit)
}

// SetDeadline sets both deadlines of the connection below.
func (c *quicker) SetDeadline(t time.Time) error {
	return errors.Join(c.quick.SetReadDeadline(t), c.quick.SetWriteDeadline(t))
}

// SetWriteDeadline limits writes in addition to the stall limit.
func (c *quicker) SetWriteDeadline(t time.Time) error { return c.quick.SetWriteDeadline(t) }

type quicker struct {
	net.Conn
	quick net.Conn
}

// Read reads from the connection.
func (c *quicker) Read(p []byte) (int, error) { return c.quick.Read(p) }

// Write writes all of p.
func (c *quicker) Write(p []byte) (int, error) { return c.quick.Write(p) }

// NetConn returns the connection below.
func (c *quicker) NetConn() net.Conn { return c.quick }
