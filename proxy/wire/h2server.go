package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"golang.org/x/net/http2"
)

const (
	// prefaceWait is how long net/http waits for the words that a client begins with.
	prefaceWait = 10 * time.Second
	// h2ReadFrame is the largest frame that net/http is told to take; it is its default too.
	h2ReadFrame = 1 << 20
	// h2FieldOverhead and h2TypicalFields are by how much HTTP/2 counts a header larger, and what net/http adds to its bound for that.
	h2FieldOverhead = 32
	h2TypicalFields = 10
)

// H2 serves HTTP/2 connections: what is a plain hit on them is answered here, the rest by net/http. It is the counterpart of [Server], whose Config it shares.
type H2 struct {
	*Server
	http *http.Server
	// serve is net/http's HTTP/2. It is the one that net/http uses itself for connections that begin with the preface. It has them wrapped in a tls.Conn
	// that is none, for the sake of its signature; and it asks what is within for its ConnectionState.
	serve     func(*http.Server, *tls.Conn, http.Handler)
	listBytes int // the largest list of fields that net/http takes
}

// prior is the name under which net/http keeps what serves HTTP/2 to a client that begins with it.
const prior = "unencrypted_http2"

// AttachH2 has h, which serves nothing else, serve HTTP/2 beneath the wire of s. It is nil where net/http has no HTTP/2, or keeps it elsewhere.
func (s *Server) AttachH2(h *http.Server) *H2 {
	s2 := &H2{Server: s, http: h, listBytes: s.HeaderBytes + h2TypicalFields*h2FieldOverhead}
	h.Protocols = new(http.Protocols)
	h.Protocols.SetUnencryptedHTTP2(true)
	h.IdleTimeout = -1 // net/http does not see what is answered here, and would end connections that are busy
	h.ConnState = h2ConnState
	settings := http.HTTP2Config{}
	if h.HTTP2 != nil {
		settings = *h.HTTP2
	}
	settings.MaxReadFrameSize = h2ReadFrame
	h.HTTP2 = &settings
	_ = h.Serve(ended{}) // sets up HTTP/2, finds that there is nothing to serve, and says so
	if s2.serve = h.TLSNextProto[prior]; s2.serve == nil {
		return nil
	}
	return s2
}

// ended is a listener that has ended.
type ended struct{}

func (ended) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (ended) Close() error              { return nil }
func (ended) Addr() net.Addr            { return &net.TCPAddr{} }

// Shutdown tells all clients that their connections end. They end when what is under way has been answered; it is not waited for.
func (s *H2) Shutdown(ctx context.Context) error { return s.http.Shutdown(ctx) }

// Take has s serve the connections of h that begin with HTTP/2 in the clear. It is called when h serves but has not got a connection yet, as from Accept.
func (s *H2) Take(h *http.Server) {
	if h.TLSNextProto[prior] == nil {
		return
	}
	h.TLSNextProto[prior] = func(_ *http.Server, c *tls.Conn, _ http.Handler) {
		if w, ok := c.NetConn().(interface{ UnencryptedNetConn() net.Conn }); ok {
			s.serveBegun(w.UnencryptedNetConn())
		}
	}
}

// Serve serves a connection until it ends, and closes it. If it is one over TLS it has done its handshake.
func (s *H2) Serve(nc net.Conn) {
	defer nc.Close()
	defer func() {
		if p := recover(); p != nil {
			s.logf("http2: panic serving %v: %v\n%s", nc.RemoteAddr(), p, debug.Stack())
		}
	}()
	if begins(nc) == nil {
		s.serveBegun(nc)
	}
}

// serveBegun serves a connection whose preface has been read.
func (s *H2) serveBegun(nc net.Conn) {
	c := s.newConn(nc)
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

var errPreface = errors.New("wire: the connection does not begin as HTTP/2 does")

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

// within is how net/http is given a connection that is no tls.Conn.
type within struct {
	net.Conn
	conn net.Conn
}

// UnencryptedNetConn is what net/http serves.
func (w within) UnencryptedNetConn() net.Conn { return w.conn }

// h2TLSConn tells net/http of the TLS beneath.
type h2TLSConn struct {
	*h2Conn
	state *tls.ConnectionState
}

// ConnectionState is what net/http judges TLS by.
func (c *h2TLSConn) ConnectionState() tls.ConnectionState { return *c.state }

// handedField tells net/http's side of a connection what was found out about a request that it gets. What clients send by that name is taken out.
const handedField = "penstock-wire-chance"

const handedKey = "Penstock-Wire-Chance"

// h2Handler makes of requests what net/http makes of those that it serves without a wire.
type h2Handler struct {
	conn *h2Conn
	tls  *tls.ConnectionState // nil: there is none
	next http.Handler
}

// BaseContext is how net/http asks for the context of requests.
func (h *h2Handler) BaseContext() context.Context { return context.Background() }

// ServeHTTP answers what was not answered on the connection.
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
	if told, ok := r.Header[handedKey]; ok {
		delete(r.Header, handedKey)
		chance, _ := strconv.ParseFloat(told[0], 64) // it was written here
		r = r.WithContext(context.WithValue(r.Context(), contextKey{}, Handed{Chance: chance}))
	}
	h.next.ServeHTTP(w, r)
}

// h2ConnState notes when net/http has streams of a connection.
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
