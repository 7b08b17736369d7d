package main

import (
	"net"

	"github.com/penstock/penstock/proxy/wire"
)

// wired gives the connections of a tap a wire.
type wired struct {
	*tap
	wire *wire.Server
}

// Accept waits for the next connection.
func (l *wired) Accept() (net.Conn, error) {
	nc, err := l.tap.Accept()
	if err != nil {
		return nil, err
	}
	c := below(nc)
	w := l.wire.Wrap(nc, c.Conn)
	l.tap.conns.wire(c, w)
	return w.Plain(), nil
}
