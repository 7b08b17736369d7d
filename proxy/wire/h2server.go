package wire

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/http2"

	"github.com/penstock/penstock/proxy/stall"
)

const (
	// prefaceWait is how long a connection waits for the client's preface, as with net/http.
	prefaceWait = 10 * time.Second
	// h2ReadFrame is the largest frame that net/http is configured to accept. It is also its
	// default.
	h2ReadFrame = 1 << 20
	// h2FieldOverhead and h2TypicalFields describe how much larger HTTP/2 counts a header. net/http
	// adds the product to its limit.
	h2FieldOverhead = 32
	h2TypicalFields = 10
)

// H2 serves HTTP/2 connections. It answers plain hits, and passes all other requests to net/http.
// It is the counterpart of [Server] and uses the same Config.
type H2 struct {
	*Server
	http *http.Server
	// serve is net/http's HTTP/2 server. It is the function that net/http calls for connections
	// that begin with the preface. Its signature requires a tls.Conn, so net/http wraps the
	// connection in one that is not used, and asks the inner connection for its ConnectionState.
	serve     func(*http.Server, *tls.Conn, http.Handler)
	listBytes int // the largest field list that net/http accepts
	leaving   leaving
}

// prior is the name under which net/http registers the server for HTTP/2 with prior knowledge.
const prior = "unencrypted_http2"

// AttachH2 makes h, which serves nothing else, serve HTTP/2 under the wire of s. It returns nil if
// net/http has no HTTP/2 server or registers it under another name.
func (s *Server) AttachH2(h *http.Server) *H2 {
	s2 := &H2{Server: s, http: h, listBytes: s.HeaderBytes + h2TypicalFields*h2FieldOverhead}
	h.Protocols = new(http.Protocols)
	h.Protocols.SetUnencryptedHTTP2(true)
	// Net/http does not see the requests that are answered here, and would close busy connections.
	h.IdleTimeout = -1
	h.ConnState = h2ConnState
	settings := http.HTTP2Config{}
	if h.HTTP2 != nil {
		settings = *h.HTTP2
	}
	settings.MaxReadFrameSize = h2ReadFrame
	h.HTTP2 = &settings
	_ = h.Serve(ended{}) // sets up HTTP/2 and returns at once
	if s2.serve = h.TLSNextProto[prior]; s2.serve == nil {
		return nil
	}
	return s2
}

// ended is a closed listener.
type ended struct{}

func (ended) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (ended) Close() error              { return nil }
func (ended) Addr() net.Addr            { return &net.TCPAddr{} }

// Shutdown tells all clients that their connections end. A connection ends when its open requests
// have been answered. Shutdown does not wait for that.
func (s *H2) Shutdown(ctx context.Context) error { return s.http.Shutdown(ctx) }

// Take makes s serve the connections of h that begin with an unencrypted HTTP/2 preface. Call it
// after h has begun to serve and before its first connection, for example from Accept.
func (s *H2) Take(h *http.Server) {
	if h.TLSNextProto[prior] == nil {
		return
	}
	h.TLSNextProto[prior] = func(_ *http.Server, c *tls.Conn, _ http.Handler) {
		if w, ok := c.NetConn().(interface{ UnencryptedNetConn() net.Conn }); ok {
			s.serveBegun(w.UnencryptedNetConn(), nil)
		}
	}
}

// Serve serves a connection until it ends, and closes it. A TLS connection must have completed its
// handshake.
func (s *H2) Serve(nc net.Conn) { s.ServeWatched(nc, nil) }

// ServeWatched is Serve, and calls began with the connection once the preface has been read. began
// may be nil.
func (s *H2) ServeWatched(nc net.Conn, began func(Idler)) {
	defer nc.Close()
	defer func() {
		if p := recover(); p != nil {
			s.logf("http2: panic serving %v: %v\n%s", nc.RemoteAddr(), p, debug.Stack())
		}
	}()
	if begins(nc) == nil {
		s.serveBegun(nc, began)
	}
}

// serveBegun serves a connection after its preface.
func (s *H2) serveBegun(nc net.Conn, began func(Idler)) {
	c := s.newConn(nc)
	if s.leaving.enter(c) {
		go c.announce()
	}
	defer s.leaving.exit(c)
	defer c.Close() // also ends announce
	if began != nil {
		began(c)
	}
	if w := connOf(nc); w != nil {
		w.over.Store(c)
	}
	h := &h2Handler{conn: c, next: s.http.Handler}
	var shown net.Conn = c
	if secure, ok := nc.(interface{ ConnectionState() tls.ConnectionState }); ok {
		c.peer.TLS = true
		state := secure.ConnectionState()
		h.tls = &state
		shown = &h2TLSConn{c, h.tls}
	}
	s.serve(s.http, tls.Client(within{conn: shown}, nil), h)
}

var errPreface = errors.New("wire: the connection does not begin with the HTTP/2 preface")

// begins reads the preface.
func begins(nc net.Conn) error {
	if err := nc.SetDeadline(time.Now().Add(prefaceWait)); err != nil {
		return err
	}
	var b [len(http2.ClientPreface)]byte
	if _, err := io.ReadFull(nc, b[:]); err != nil {
		return err
	}
	if string(b[:]) != http2.ClientPreface {
		return errPreface
	}
	return nc.SetDeadline(time.Time{})
}

func (s *H2) logf(format string, args ...any) {
	if l := s.http.ErrorLog; l != nil {
		l.Printf(format, args...)
		return
	}
	log.Printf(format, args...)
}

// within wraps a connection for net/http that is not a tls.Conn.
type within struct {
	net.Conn
	conn net.Conn
}

// UnencryptedNetConn returns the connection that net/http serves.
func (w within) UnencryptedNetConn() net.Conn { return w.conn }

// h2TLSConn gives net/http the state of the underlying TLS connection.
type h2TLSConn struct {
	*h2Conn
	state *tls.ConnectionState
}

// ConnectionState returns the state by which net/http checks TLS.
func (c *h2TLSConn) ConnectionState() tls.ConnectionState { return *c.state }

// handedField tells net/http's side of the connection that findings about a request exist. Its value
// is the number of the stream. If a client sends a field of that name, it is removed.
const handedField = "penstock-wire-handed"

const handedKey = "Penstock-Wire-Handed"

// handedSize is the maximum size that the field adds to a field list (RFC 9113 §6.5.2).
const handedSize = len(handedField) + len("2147483647") + 32

// h2Handler adjusts requests so that they look as they do without a wire.
type h2Handler struct {
	conn *h2Conn
	tls  *tls.ConnectionState // nil for an unencrypted connection
	next http.Handler
}

// BaseContext returns the context from which net/http derives those of requests.
func (h *h2Handler) BaseContext() context.Context {
	return stall.WithWaits(context.Background(), &h.conn.waits)
}

// ServeHTTP handles a request that was not answered on the connection.
func (h *h2Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.TLS == nil && h.tls != nil {
		state := *h.tls
		r.TLS = &state
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	if r.RemoteAddr == "" {
		r.RemoteAddr = h.conn.RemoteAddr().String()
	}
	if value, ok := r.Header[handedKey]; ok {
		delete(r.Header, handedKey)
		stream, _ := strconv.ParseUint(value[0], 10, 32) // this package has written it
		r = r.WithContext(context.WithValue(r.Context(), contextKey{}, h.conn.handing.take(uint32(stream))))
	}
	h.next.ServeHTTP(w, r)
}

// h2ConnState records when net/http has streams of a connection.
func h2ConnState(nc net.Conn, state http.ConnState) {
	h, ok := nc.(interface{ h2() *h2Conn })
	if !ok {
		return
	}
	switch c := h.h2(); state {
	case http.StateActive:
		c.busy.Store(true)
	case http.StateIdle:
		c.idleSince.Store(time.Now().UnixNano())
		c.busy.Store(false)
	}
}

// maxHanding limits the streams of a connection with findings. If net/http refuses a stream, its
// findings are never taken.
const maxHanding = 256

// handing keeps the findings about requests, by stream, until their handlers take them.
type handing struct {
	mu sync.Mutex
	of map[uint32]Handed
}

func (h *handing) put(stream uint32, findings Handed) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.of == nil {
		h.of = make(map[uint32]Handed)
	}
	if len(h.of) >= maxHanding {
		clear(h.of) // the handlers repeat the work
	}
	h.of[stream] = findings
}

func (h *handing) take(stream uint32) Handed {
	h.mu.Lock()
	defer h.mu.Unlock()
	findings := h.of[stream]
	delete(h.of, stream)
	return findings
}

// lastOfAll is the stream in the first GOAWAY: every stream that the client opens before it reads
// the frame will be answered (RFC 9113 §6.8).
const lastOfAll = 1<<31 - 1

// leaving holds the open connections of a server, which are notified before it stops.
type leaving struct {
	mu    sync.Mutex
	open  map[*h2Conn]struct{}
	began bool
}

// enter adds c. It reports whether the server is about to stop.
func (l *leaving) enter(c *h2Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		l.open = make(map[*h2Conn]struct{})
	}
	l.open[c] = struct{}{}
	return l.began
}

func (l *leaving) exit(c *h2Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, c)
}

// Announce tells all clients to open no more streams. Streams that they open meanwhile are still
// answered. [H2.Shutdown] should follow a round trip later: it tells them which stream was the
// last.
func (s *H2) Announce() {
	s.leaving.mu.Lock()
	defer s.leaving.mu.Unlock()
	s.leaving.began = true
	for c := range s.leaving.open {
		// A client that receives nothing must not delay the others; closing c ends the goroutine.
		go c.announce()
	}
}

// announce sends the first GOAWAY between two frames of net/http.
func (c *h2Conn) announce() {
	if c.take(true) != nil {
		return // the connection has ended
	}
	defer c.give()
	if c.named() || c.written.bound(c.Conn, time.Now(), c.server.Write) != nil {
		return
	}
	out := frame{length: goAwaySize, kind: http2.FrameGoAway}.append(nil)
	out = binary.BigEndian.AppendUint32(out, lastOfAll)
	out = binary.BigEndian.AppendUint32(out, uint32(http2.ErrCodeNo))
	_, _ = c.Conn.Write(out) // if it fails, net/http's next write fails too
}

// named reports whether a GOAWAY has already named the last stream. A later GOAWAY must not name a
// higher one (RFC 9113 §6.8).
func (c *h2Conn) named() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leave
}
