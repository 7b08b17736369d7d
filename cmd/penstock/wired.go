package main

import (
	"net"
	"net/http"

	"github.com/penstock/penstock/proxy/wire"
)

// wired gives the connections of a tap a wire.
type wired struct {
	*tap
	wire *wire.Server
	h2   *wire.H2     // of connections that begin with HTTP/2; nil: there are none
	http *http.Server // that gets the connections
}

// Accept waits for the next connection.
func (l *wired) Accept() (net.Conn, error) {
	if l.h2 != nil {
		l.h2.Take(l.http)
		l.h2 = nil
	}
	nc, err := l.tap.Accept()
	if err != nil {
		return nil, err
	}
	c := below(nc)
	w := l.wire.Wrap(nc, c.Conn)
	l.tap.conns.wire(c, w)
	return w.Plain(), nil
}
