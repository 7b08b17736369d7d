package listen

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/stall"
	"github.com/penstock/penstock/proxy/wire"
)

// LameDuck is the time in which a stopping server keeps idle connections open. A client that is
// about to send a request still gets its response, and learns from it that the connection ends.
const LameDuck = time.Second

// comingTime is the interval at which a stopping server checks whether received requests have been
// read.
const comingTime = 5 * time.Millisecond

// Bounds of HTTP/2 that have no keys in the configuration. Their values are those of common
// servers. The number of concurrent streams is bounded so that one connection cannot use the
// capacity of thousands.
const (
	h2Streams   = 250
	h2PingAfter = 30 * time.Second
	h2PingWait  = 15 * time.Second
)

// settings holds everything that determines a server. If they are equal, a reload keeps the server.
type settings struct {
	listener    config.Listener
	headerBytes int64
	timeouts    config.ServerTimeouts
	admin       bool
}

func (s settings) equal(o settings) bool {
	s.timeouts.Drain, o.timeouts.Drain = 0, 0 // Drain is read when it is needed
	return reflect.DeepEqual(s, o)
}

// server is an http.Server on a socket.
type server struct {
	settings settings
	http     *http.Server
	wire     *wire.Server // nil if net/http answers everything, as on the admin listener
	h2       *wire.H2     // HTTP/2 with a wire; nil if net/http handles HTTP/2
	tap      *tap
	certs    *Certificates // nil without TLS
	stopping atomic.Bool
	log      *slog.Logger
	served   chan struct{} // closed when Serve has returned
}

// answerer is a handler whose hits connections may answer themselves. now is its clock, or nil for
// the system's.
type answerer interface {
	Wire() (hot wire.Hot, now func() time.Time)
}

// newServer returns a server that is not yet serving. It returns an error if its certificates
// cannot be read.
func newServer(set settings, h http.Handler, log *slog.Logger) (*server, error) {
	s := &server{settings: set, log: log, served: make(chan struct{})}
	s.http = s.newHTTP(h)
	s.http.Protocols = new(http.Protocols)
	s.http.Protocols.SetHTTP1(true)
	s.http.Protocols.SetUnencryptedHTTP2(set.listener.H2C && set.listener.TLS == nil)
	s.http.Protocols.SetHTTP2(set.listener.TLS != nil)
	s.attachWire(h)
	if set.listener.TLS == nil {
		return s, nil
	}
	var err error
	if s.certs, err = newCertificates(set.listener.TLS.Certificates, log); err != nil {
		return nil, err
	}
	s.http.TLSConfig = s.certs.tlsConfig()
	return s, nil
}

// attachWire gives each connection of the gateway a wire. If the listener has `wire: false`, the
// wire answers no hits, but it refuses the same malformed requests.
func (s *server) attachWire(h http.Handler) {
	a, ok := h.(answerer)
	if !ok {
		s.http.ConnState, s.http.ConnContext = noteState, noteWaits
		return
	}
	set, watch := s.settings, noteState
	hot, now := a.Wire()
	if !set.listener.Wire {
		hot = nil
	}
	s.wire = wire.Attach(s.http, hot, now)
	s.wire.WriteStall = set.timeouts.WriteStall
	if set.listener.Wire && (set.listener.TLS != nil || set.listener.H2C) {
		s.h2 = s.wire.AttachH2(s.newHTTP(h))
	}
	if wired, given := s.http.ConnState, s.http.ConnContext; s.h2 == nil {
		s.http.ConnContext = func(ctx context.Context, nc net.Conn) context.Context { return noteWaits(given(ctx, nc), nc) }
		s.http.ConnState = func(nc net.Conn, state http.ConnState) {
			wired(nc, state)
			watch(nc, state) // without h2, HTTP/2 connections have no wire
		}
	}
}

// newHTTP returns an http.Server with the settings. The caller sets its protocols.
func (s *server) newHTTP(h http.Handler) *http.Server {
	set := s.settings
	pace := edge.Pace{Read: set.timeouts.Read, ReadStall: set.timeouts.ReadStall, WriteStall: set.timeouts.WriteStall}
	return &http.Server{
		Handler:                      pace.Around(s.announceEnd(h)),
		DisableGeneralOptionsHandler: true,
		// No ReadTimeout: it would continue after the request is read and cut off long responses.
		ReadHeaderTimeout: cmp.Or(set.timeouts.ReadHeader, set.timeouts.Read),
		WriteTimeout:      set.timeouts.Write,
		IdleTimeout:       set.timeouts.Idle,
		MaxHeaderBytes:    int(set.headerBytes),
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: h2Streams, SendPingTimeout: h2PingAfter, PingTimeout: h2PingWait},
	}
}

// announceEnd adds Connection: close to HTTP/1.1 responses of a stopping server. HTTP/2 has GOAWAY
// instead.
func (s *server) announceEnd(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.stopping.Load() && r.ProtoMajor == 1 {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}

// start starts serving the socket's connections.
func (s *server) start(sock *socket, log *slog.Logger) {
	s.tap = newTap(sock)
	go func() {
		defer close(s.served)
		if err := s.serve(); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			log.Error("a listener stopped", "address", s.tap.Addr().String(), "error", err)
		}
	}()
}

func (s *server) serve() error {
	switch {
	case s.wire == nil:
		return s.http.Serve(s.bounded())
	case s.certs == nil:
		return s.http.Serve(&wired{s.tap, s.wire, s.h2, s.http})
	}
	return s.serveTLS()
}

// bounded returns the tap with a write timeout on its connections, like that of a wire.
func (s *server) bounded() net.Listener {
	return &patient{s.tap, s.settings.timeouts.WriteStall}
}

// patient is a tap whose connections fail to write if the client has read nothing for the time of
// limit.
type patient struct {
	*tap
	limit time.Duration
}

// Accept waits for the next connection.
func (l *patient) Accept() (net.Conn, error) {
	nc, err := l.tap.Accept()
	if err != nil || l.limit <= 0 {
		return nc, err
	}
	return stall.New(nc, l.limit), nil
}

// retire stops the server. It accepts no new connections, waits for requests in flight and for
// upgraded connections, and closes the rest when ctx ends. When it returns, no part of the server
// is running.
func (s *server) retire(ctx context.Context) {
	s.stopping.Store(true)
	if s.wire != nil {
		s.wire.Stop()
	}
	s.tap.Close()
	if s.h2 != nil {
		s.h2.Announce() // LameDuck is longer than a round trip
	}
	s.awaitEmpty(ctx, LameDuck)
	for s.tap.conns.closeIdle() && ctx.Err() == nil { // answers requests that were received; net/http would drop them
		s.awaitEmpty(ctx, comingTime)
	}
	if s.h2 != nil {
		_ = s.h2.Shutdown(ctx) // sends the last stream's number and does not wait
	}
	err := s.http.Shutdown(ctx)
	if s.wire != nil {
		s.wire.EndLingering()
	}
	if err == nil {
		s.awaitEmpty(ctx, 0) // the connections that are still open were upgraded
	}
	s.http.Close()
	s.tap.conns.closeAll()
	<-s.served
}

// awaitEmpty waits until no connection is open, or until ctx ends, and at most for atMost if that
// is not 0.
func (s *server) awaitEmpty(ctx context.Context, atMost time.Duration) {
	if atMost > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, atMost)
		defer cancel()
	}
	select {
	case <-s.tap.conns.whenEmpty():
	case <-ctx.Done():
	}
}
