package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/wire"
)

// lameDuck is how long a stopping server leaves connections open that have no request, so that a client that is about to
// send one still gets its answer, with the word that the connection ends.
const lameDuck = time.Second

// comingTime is how often it looks again whether requests that have come were read.
const comingTime = 5 * time.Millisecond

// Bounds of HTTP/2 that the configuration has no keys for. They are those of common servers; what a client may ask for at
// once is bounded so that one connection cannot take the place of thousands.
const (
	h2Streams   = 250
	h2PingAfter = 30 * time.Second
	h2PingWait  = 15 * time.Second
)

// settings is all that a server is built from. Two equal settings need no new server.
type settings struct {
	listener    config.Listener
	headerBytes int64
	timeouts    config.ServerTimeouts
	admin       bool
}

func (s settings) equal(o settings) bool {
	s.timeouts.Drain, o.timeouts.Drain = 0, 0 // read when it is needed
	return reflect.DeepEqual(s, o)
}

// server is one http.Server on a socket.
type server struct {
	settings settings
	http     *http.Server
	wire     *wire.Server // nil: all is net/http's
	h2       *wire.H2     // HTTP/2 beneath a wire; nil: all of it is net/http's
	tap      *tap
	certs    *certificates // nil: plain
	stopping atomic.Bool
	log      *slog.Logger
	served   chan struct{} // closed when Serve has returned
}

// answerer is a handler whose hits connections may answer by themselves; now is its clock, nil for that of the system.
type answerer interface {
	Wire() (hot wire.Hot, now func() time.Time)
}

// newServer makes a server that does not serve yet. Errors are about its certificates.
func newServer(set settings, h http.Handler, log *slog.Logger) (*server, error) {
	s := &server{settings: set, log: log, served: make(chan struct{})}
	s.http = s.newHTTP(h)
	s.http.Protocols = new(http.Protocols)
	s.http.Protocols.SetHTTP1(true)
	s.http.Protocols.SetUnencryptedHTTP2(set.listener.H2C && set.listener.TLS == nil)
	s.http.Protocols.SetHTTP2(set.listener.TLS != nil)
	if a, ok := h.(answerer); ok && set.listener.Wire {
		hot, now := a.Wire()
		s.wire = wire.Attach(s.http, hot, now)
	}
	if s.wire != nil && (set.listener.TLS != nil || set.listener.H2C) {
		s.h2 = s.wire.AttachH2(s.newHTTP(h))
	}
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

// newHTTP makes an http.Server of the settings; which protocols it speaks is left open.
func (s *server) newHTTP(h http.Handler) *http.Server {
	set := s.settings
	return &http.Server{
		Handler:                      s.announceEnd(h),
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            set.timeouts.ReadHeader,
		ReadTimeout:                  set.timeouts.Read,
		WriteTimeout:                 set.timeouts.Write,
		IdleTimeout:                  set.timeouts.Idle,
		MaxHeaderBytes:               int(set.headerBytes),
		ErrorLog:                     slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		HTTP2:                        &http.HTTP2Config{MaxConcurrentStreams: h2Streams, SendPingTimeout: h2PingAfter, PingTimeout: h2PingWait},
	}
}

// announceEnd tells HTTP/1.1 clients of a stopping server to ask elsewhere next. HTTP/2 has GOAWAY for it.
func (s *server) announceEnd(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.stopping.Load() && r.ProtoMajor == 1 {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}

// start begins to serve what the socket accepts.
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
	case s.wire == nil && s.certs == nil:
		return s.http.Serve(s.tap)
	case s.wire == nil:
		return s.http.ServeTLS(s.tap, "", "")
	case s.certs == nil:
		return s.http.Serve(&wired{s.tap, s.wire, s.h2, s.http})
	}
	return s.serveTLS()
}

// retire takes no new connections, lets requests in flight and upgraded connections end, and closes what is left when ctx
// ends. When it returns nothing of the server runs.
func (s *server) retire(ctx context.Context) {
	s.stopping.Store(true)
	if s.wire != nil {
		s.wire.Stop()
	}
	s.tap.Close()
	s.awaitEmpty(ctx, lameDuck)
	for s.tap.conns.closeIdle() && ctx.Err() == nil { // what has come is answered; net/http would not look
		s.awaitEmpty(ctx, comingTime)
	}
	if s.h2 != nil {
		_ = s.h2.Shutdown(ctx) // it says so and does not wait
	}
	if s.http.Shutdown(ctx) == nil {
		s.awaitEmpty(ctx, 0) // what is open now was upgraded
	}
	s.http.Close()
	s.tap.conns.closeAll()
	<-s.served
}

// awaitEmpty waits until no connection is open, but at most for a time, if one is given.
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
