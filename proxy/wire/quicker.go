package wire

import "net"

// Quick is c, which is closed and asked for, with quicker calls to what it is at bottom, if that is a TCP connection. It is for one reader and one writer at
// a time, as under TLS.
func Quick(c, raw net.Conn) net.Conn {
	if q := quicken(raw); q != raw {
		return &quicker{c, q}
	}
	return c
}

type quicker struct {
	net.Conn
	quick net.Conn
}

// Read reads from the connection.
func (c *quicker) Read(p []byte) (int, error) { return c.quick.Read(p) }

// Write writes all of p.
func (c *quicker) Write(p []byte) (int, error) { return c.quick.Write(p) }

// NetConn is what it reads from.
func (c *quicker) NetConn() net.Conn { return c.quick }
