package listen

import (
	"net"
	"net/http"

	"github.com/penstock/penstock/proxy/wire"
)

// wired gives each connection of a tap a wire.
type wired struct {
	*tap
	wire *wire.Server
	h2   *wire.H2     // for connections that start with HTTP/2; nil if HTTP/2 is off
	http *http.Server // the server that gets the connections
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
