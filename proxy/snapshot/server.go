package snapshot

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/route"
	"github.com/penstock/penstock/proxy/wire"
)

// Server answers requests by the Snapshot in force, by net/http's handler and on connections.
type Server struct {
	current *atomic.Pointer[Snapshot]
	options Options
}

// Options are the settings of a Server.
type Options struct {
	Log     *slog.Logger
	Now     func() time.Time
	Clock   func() time.Time // of connections; nil if they choose
	Sink    observe.Sink     // gets every finished request
	Sampler observe.Sampler  // chooses the hits of connections that are traced; may be nil
}

// NewServer returns a Server. The owner of current swaps the Snapshot in force.
func NewServer(current *atomic.Pointer[Snapshot], o Options) *Server { return &Server{current, o} }

// Router returns the router of the Snapshot in force.
func (s *Server) Router() *route.Router { return s.current.Load().router }

// Wire lets a server's connections answer from memory: see [wire.Attach].
func (s *Server) Wire() (answers wire.Hot, clock func() time.Time) {
	return (*hot)(s), s.options.Clock
}

// ServeHTTP answers r by the Snapshot in force.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	inForce, handed := s.current.Load(), wire.HandedOver(r.Context())
	ctx, ev := edge.Begin(r.Context(), inForce.own(handed))
	ev.Start, ev.Method, ev.RawHost, ev.RawTarget, ev.Chance = s.options.Now(), r.Method, r.Host, r.RequestURI, handed.Chance
	ev.Charged = handed.Answered
	r = r.WithContext(ctx)
	defer s.finish(w, r, ev)
	inForce.ServeHTTP(w, r)
}

// finish is the one place that recovers a handler's panic. http.ErrAbortHandler is how a handler
// breaks a response off, so finish passes it on to net/http. Any other panic is a defect, which
// fails this request alone.
func (s *Server) finish(w http.ResponseWriter, r *http.Request, ev *observe.Event) {
	p := recover()
	if p != nil && p != http.ErrAbortHandler {
		s.options.Log.Error("answering a request panicked", "route", ev.Route, "method", r.Method, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		if ev.Status == 0 {
			edge.WriteError(w, r, http.StatusInternalServerError, "proxy_internal_error", "")
			p = nil
		} else {
			p = http.ErrAbortHandler
		}
	}
	if ev.Took == 0 {
		ev.Took = s.options.Now().Sub(ev.Start)
	}
	s.options.Sink.Finish(ev, r)
	if p != nil {
		panic(p)
	}
}
