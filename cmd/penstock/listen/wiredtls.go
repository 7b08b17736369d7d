package listen

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/penstock/penstock/proxy/stall"
	"github.com/penstock/penstock/proxy/wire"
)

// handshaker does the TLS handshakes of a tap's connections, each on its own goroutine. The
// negotiated protocol is thus known before net/http gets the connection: HTTP/2 and HTTP/1.1 have
// different wires.
type handshaker struct {
	*tap
	wire    *wire.Server
	h2      *wire.H2 // nil if net/http handles HTTP/2 on a *tls.Conn
	config  *tls.Config
	timeout time.Duration // of one handshake; 0 if unlimited
	log     *slog.Logger
	ready   chan net.Conn
	running sync.WaitGroup
}

// serveTLS is http.Server.ServeTLS with a wire for each connection.
func (s *server) serveTLS() error {
	config := s.http.TLSConfig.Clone()
	config.NextProtos = []string{"h2", "http/1.1"}
	s.http.TLSConfig = config.Clone() // lists h2, so that net/http sets up HTTP/2; net/http modifies its own copy
	h := &handshaker{
		tap: s.tap, wire: s.wire, h2: s.h2, config: config, timeout: handshakeTimeout(s.settings), log: s.log, ready: make(chan net.Conn),
	}
	h.running.Go(h.accept)
	defer h.running.Wait()
	return s.http.Serve(h)
}

// handshakeTimeout returns net/http's own choice: the shortest of the configured timeouts, or 0 if
// none is set.
func handshakeTimeout(set settings) (least time.Duration) {
	for _, d := range []time.Duration{set.timeouts.ReadHeader, set.timeouts.Read, set.timeouts.Write} {
		if d > 0 && (least == 0 || d < least) {
			least = d
		}
	}
	return least
}

// accept starts a handshake for each new connection.
func (h *handshaker) accept() {
	for {
		c, err := h.tap.Accept()
		if err != nil {
			return
		}
		h.running.Go(func() { h.greet(c) })
	}
}

// greet does one handshake and passes the connection on.
func (h *handshaker) greet(c net.Conn) {
	conn := tls.Server(h.beneath(c), h.config)
	if err := h.shake(conn); err != nil {
		h.fail(c, err)
		return
	}
	var ready net.Conn = conn
	switch isH2 := conn.ConnectionState().NegotiatedProtocol == "h2"; {
	case isH2 && h.h2 != nil:
		h.running.Go(func() { h.h2.ServeWatched(conn, below(c).rests) }) // a new goroutine has a small stack; the handshake has grown this one
		return
	case !isH2:
		w := h.wire.Wrap(conn, conn)
		h.tap.conns.wire(below(c), w)
		ready = w.TLS(conn)
	}
	select {
	case h.ready <- ready:
	case <-h.tap.closed:
		ready.Close()
	}
}

// beneath returns c as the TLS layer reads and writes it.
func (h *handshaker) beneath(c net.Conn) net.Conn {
	switch limit := h.wire.WriteStall; {
	case h.wire.Hot != nil:
		return wire.Quick(c, below(c).Conn, limit)
	case limit > 0:
		return stall.New(c, limit)
	}
	return c
}

// shake does the handshake within the timeout.
func (h *handshaker) shake(conn *tls.Conn) error {
	ctx := context.Background()
	if h.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, h.timeout)
		defer cancel()
	}
	return conn.HandshakeContext(ctx)
}

// fail closes a connection whose handshake failed. A client that speaks plain HTTP gets a response
// that it understands.
func (h *handshaker) fail(c net.Conn, err error) {
	reason := err.Error()
	var header tls.RecordHeaderError
	if errors.As(err, &header) && header.Conn != nil && speaksHTTP(header.RecordHeader) {
		_, _ = io.WriteString(header.Conn, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n") // the connection is lost either way
		reason = "client sent an HTTP request to an HTTPS server"
	}
	c.Close()
	h.log.Warn("http: TLS handshake error from " + c.RemoteAddr().String() + ": " + reason)
}

// speaksHTTP reports whether the bytes in place of a TLS record header begin an HTTP request.
func speaksHTTP(head [5]byte) bool {
	switch string(head[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO":
		return true
	}
	return false
}

// Accept waits for the next connection that completed its handshake.
func (h *handshaker) Accept() (net.Conn, error) {
	select {
	case c := <-h.ready:
		return c, nil
	case <-h.tap.closed:
	case <-h.tap.socket.done:
	}
	return nil, net.ErrClosed
}
