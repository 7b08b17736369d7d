package wire

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/proxy/observe"
)

// Config configures the connections of one http.Server.
type Config struct {
	Hot Hot
	Now func() time.Time // the clock of responses; nil: time.Now
	// HeaderBytes and the timeouts are those of the http.Server. 0 means none.
	HeaderBytes             int
	ReadHeader, Write, Idle time.Duration
	// WriteStall is how long a client may take nothing of a response before its connection fails.
	// It must be set before the first connection is wrapped.
	WriteStall time.Duration
}

// headerSlop is how far net/http reads beyond MaxHeaderBytes before it answers 431.
const headerSlop = 4096

// Server is the wire of one http.Server.
type Server struct {
	Config
	maxHead  int
	stopping atomic.Bool
	shards   atomic.Uint32
	leaving  lingerers
	whole    bool // true if net/http limits the time of a whole request
}

// Attach returns the wire of h. It applies to connections that come from Wrap. Attach must be
// called before h serves. If hot is nil, net/http handles all requests, and the wire only guards
// it.
func Attach(h *http.Server, hot Hot, now func() time.Time) *Server {
	s := &Server{Config: Config{
		Hot: hot, Now: now, HeaderBytes: h.MaxHeaderBytes,
		ReadHeader: firstOf(h.ReadHeaderTimeout, h.ReadTimeout), Write: h.WriteTimeout, Idle: firstOf(h.IdleTimeout, h.ReadTimeout),
	}}
	if s.HeaderBytes <= 0 {
		s.HeaderBytes = http.DefaultMaxHeaderBytes
	}
	s.maxHead, s.whole = s.HeaderBytes+headerSlop, h.ReadTimeout > 0
	h.ConnState = s.connState
	h.ConnContext = connContext
	return s
}

// firstOf returns the timeout that net/http applies: b if a is not set.
func firstOf(a, b time.Duration) time.Duration {
	if a != 0 {
		return max(a, 0)
	}
	return max(b, 0)
}

// Stop hands every further request to net/http, which tells clients that the connection ends.
func (s *Server) Stop() { s.stopping.Store(true) }

// Wrap gives a client's connection a wire. raw is the connection below c that has the kernel's
// abilities: Wrap reads from and writes to raw directly, and closes c.
func (s *Server) Wrap(c, raw net.Conn) *Conn {
	out := &Conn{Conn: c, server: s, peer: s.peerOf(c)}
	if s.Hot != nil {
		out.raw = quicken(raw, s.WriteStall)
	} else {
		out.raw = limited(raw, s.WriteStall)
	}
	out.quiet.Store(time.Now().UnixNano())
	return out
}

// peerOf returns the peer of a new connection.
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

// connState is the http.Server's ConnState hook. net/http calls it on the goroutine that serves the
// connection.
func (s *Server) connState(nc net.Conn, state http.ConnState) {
	c := connOf(nc)
	if c == nil {
		return
	}
	switch state {
	case http.StateActive:
		c.rest.Store(0)
	case http.StateIdle:
		c.idle()
	case http.StateHijacked:
		c.stepAside()
		c.raw = calm(c.raw, s.WriteStall)
	}
}

// connOf returns the wire of a connection, or nil.
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

// Handed holds findings about a request from before it was handed to net/http.
type Handed struct {
	Chance float64 // the random draw that called for an early refresh; otherwise 0
	// Answered is true if Hot answered the request, but the response did not fit into the limits of
	// the connection.
	Answered bool
	// Located is the destination of the request in the terms of Hot, or nil if it is unknown. It is
	// immutable.
	Located any
}

// HandedOver returns the findings about the request of ctx. The request must still be in flight.
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

// Hot answers requests from memory. It may be called concurrently, and must not keep references to
// its arguments.
type Hot interface {
	// Answer completes a and returns true if a stored response answers r exactly as net/http's
	// handler would. Otherwise it returns false and may set a.Handed.
	Answer(r *Request, a *Answer) bool
	// Sent is called after a response has been written.
	Sent(h *observe.Hit)
}

// Peer holds the properties of a connection's peer, which are the same for all its requests.
type Peer struct {
	Addr  netip.Addr // invalid if the peer has no IP address
	TLS   bool
	Shard uint32 // distributes the counters among connections
}

// Answer is a response under construction. Hot appends the head to Head, and sets Body to the
// content, in immutable pieces.
type Answer struct {
	Now  time.Time // when the request was received
	Head []byte    // status line and fields, with the empty line that ends them
	Body [][]byte  // nil if there is no body
	Hit  *observe.Hit
	// Handed holds the findings about a request that Hot does not answer.
	Handed Handed
}
