package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/penstock/penstock/proxy/wire"
)

// handshaker does the TLS handshakes of a tap's connections, each on a goroutine of its own, so that it is known which protocol a connection speaks
// before net/http has it: HTTP/2 and HTTP/1.1 get wires of their own.
type handshaker struct {
	*tap
	wire    *wire.Server
	h2      *wire.H2 // nil: net/http gets a *tls.Conn
	config  *tls.Config
	timeout time.Duration // of one handshake; 0: none
	log     *slog.Logger
	ready   chan net.Conn
	running sync.WaitGroup
}

// serveTLS is http.Server.ServeTLS with a wire.
func (s *server) serveTLS() error {
	config := s.http.TLSConfig.Clone()
	config.NextProtos = []string{"h2", "http/1.1"}
	s.http.TLSConfig = config.Clone() // names h2, so that net/http prepares itself for it, and changes its own
	h := &handshaker{
		tap: s.tap, wire: s.wire, h2: s.h2, config: config, timeout: handshakeTimeout(s.settings), log: s.log, ready: make(chan net.Conn),
	}
	h.running.Go(h.accept)
	defer h.running.Wait()
	return s.http.Serve(h)
}

// handshakeTimeout is that of net/http: the least of those that are set.
func handshakeTimeout(set settings) (least time.Duration) {
	for _, d := range []time.Duration{set.timeouts.ReadHeader, set.timeouts.Read, set.timeouts.Write} {
		if d > 0 && (least == 0 || d < least) {
			least = d
		}
	}
	return least
}

// accept begins a handshake with each new connection.
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
	conn := tls.Server(wire.Quick(c, below(c).Conn), h.config)
	if err := h.shake(conn); err != nil {
		h.fail(c, err)
		return
	}
	var ready net.Conn = conn
	switch isH2 := conn.ConnectionState().NegotiatedProtocol == "h2"; {
	case isH2 && h.h2 != nil:
		h.running.Go(func() { h.h2.Serve(conn) }) // not on the stack that a handshake takes
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

// shake does the handshake, in the time that it may take.
func (h *handshaker) shake(conn *tls.Conn) error {
	ctx := context.Background()
	if h.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, h.timeout)
		defer cancel()
	}
	return conn.HandshakeContext(ctx)
}

// fail ends a connection whose handshake failed. A client that speaks HTTP is told so, in words that it understands.
func (h *handshaker) fail(c net.Conn, err error) {
	reason := err.Error()
	var header tls.RecordHeaderError
	if errors.As(err, &header) && header.Conn != nil && speaksHTTP(header.RecordHeader) {
		_, _ = io.WriteString(header.Conn, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n") // it is lost either way
		reason = "client sent an HTTP request to an HTTPS server"
	}
	c.Close()
	h.log.Warn("http: TLS handshake error from " + c.RemoteAddr().String() + ": " + reason)
}

// speaksHTTP recognises the beginning of a request in what should have been the head of a TLS record.
func speaksHTTP(head [5]byte) bool {
	switch string(head[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO":
		return true
	}
	return false
}

// Accept waits for the next connection that has done its handshake.
func (h *handshaker) Accept() (net.Conn, error) {
	select {
	case c := <-h.ready:
		return c, nil
	case <-h.tap.closed:
	case <-h.tap.socket.done:
	}
	return nil, net.ErrClosed
}
