package wire

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"
)

// Config is what the connections of one http.Server go by.
type Config struct {
	Hot Hot
	Now func() time.Time // the clock of answers; nil: time.Now
	// HeaderBytes and the timeouts are those of the http.Server. 0 is none.
	HeaderBytes             int
	ReadHeader, Write, Idle time.Duration
}

// headerSlop is how much more than MaxHeaderBytes net/http reads before it answers 431.
const headerSlop = 4096

// Server is the wire of one http.Server.
type Server struct {
	Config
	maxHead  int
	stopping atomic.Bool
	shards   atomic.Uint32
}

// Attach gives h's connections a wire: those that come from Wrap. It is called before h serves.
func Attach(h *http.Server, hot Hot, now func() time.Time) *Server {
	s := &Server{Config: Config{
		Hot: hot, Now: now, HeaderBytes: h.MaxHeaderBytes,
		ReadHeader: firstOf(h.ReadHeaderTimeout, h.ReadTimeout), Write: h.WriteTimeout, Idle: firstOf(h.IdleTimeout, h.ReadTimeout),
	}}
	if s.HeaderBytes <= 0 {
		s.HeaderBytes = http.DefaultMaxHeaderBytes
	}
	s.maxHead = s.HeaderBytes + headerSlop
	h.ConnState = s.connState
	h.ConnContext = connContext
	return s
}

// firstOf is the timeout that net/http goes by: where one is not set, the other.
func firstOf(a, b time.Duration) time.Duration {
	if a != 0 {
		return max(a, 0)
	}
	return max(b, 0)
}

// Stop hands every further request to net/http, which tells clients that the connection ends.
func (s *Server) Stop() { s.stopping.Store(true) }

// Wrap gives a client's connection a wire. raw is what c is at bottom, with the abilities that the kernel gives it: reads and writes go there
// directly. c is closed.
func (s *Server) Wrap(c, raw net.Conn) *Conn {
	return &Conn{Conn: c, raw: quicken(raw), server: s, peer: s.peerOf(c)}
}

// peerOf is the peer of a new connection.
func (s *Server) peerOf(c net.Conn) Peer {
	p := Peer{Shard: s.shards.Add(1)}
	if ap, err := netip.ParseAddrPort(addrText(c.RemoteAddr())); err == nil {
		p.Addr = ap.Addr().Unmap().WithZone("")
	}
	return p
}

func addrText(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// connState is the http.Server's hook. net/http calls it on the goroutine that serves the connection.
func (s *Server) connState(nc net.Conn, state http.ConnState) {
	c := connOf(nc)
	if c == nil {
		return
	}
	switch state {
	case http.StateIdle:
		c.idle()
	case http.StateHijacked:
		c.stepAside()
		c.raw = calm(c.raw) // its new owner may write from several goroutines
	}
}

// connOf is the wire of a connection, nil for one that has none.
func connOf(nc net.Conn) *Conn {
	if h, ok := nc.(interface{ wire() *Conn }); ok {
		return h.wire()
	}
	return nil
}

type contextKey struct{}

func connContext(ctx context.Context, nc net.Conn) context.Context {
	if c := connOf(nc); c != nil {
		return context.WithValue(ctx, contextKey{}, c)
	}
	return ctx
}

// Handed is what was found out about a request before it was handed to net/http.
type Handed struct {
	Chance float64 // the draw by which its response is to be refreshed early; 0: none was made
}

// HandedOver is what is known of the request of this context, which has not ended.
func HandedOver(ctx context.Context) Handed {
	switch v := ctx.Value(contextKey{}).(type) {
	case *Conn:
		return v.handed
	case Handed:
		return v
	}
	return Handed{}
}

// Listener gives each connection of a plain listener a wire.
func (s *Server) Listener(l net.Listener) net.Listener { return &listener{l, s} }

type listener struct {
	net.Listener
	server *Server
}

// Accept waits for the next connection.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.server.Wrap(c, c).Plain(), nil
}
