package proxy

import (
	"time"

	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/wire"
)

// Wire lets a server's connections answer from g's memory: see [wire.Attach].
func (g *Gateway) Wire() (answers wire.Hot, clock func() time.Time) { return (*hot)(g), g.options.clock }

// hot is a Gateway as its connections see it.
type hot Gateway

// Answer answers r by the configuration in force, as ServeHTTP would.
func (h *hot) Answer(r *wire.Request, a *wire.Answer) bool {
	s := h.snapshot.Load()
	if limit := s.guard.HeaderBytes; limit > 0 && len(r.Head) > limit || s.heeds(r) {
		return false
	}
	q := cache.Question{Method: r.Method, Scheme: "http", Host: r.Host, Target: r.Target, Fields: r, Now: a.Now}
	if r.Peer.TLS {
		q.Scheme = "https"
	}
	out := cache.Answer{Head: a.Head}
	if !s.memo.Answer(&q, &out) {
		a.Handed.Chance = out.Chance
		return false
	}
	if h.sampled(r) {
		a.Handed.Recorded = true
		return false
	}
	a.Head, a.Body = out.Head, out.Body
	t := a.Hit
	t.Route, t.Host, t.Scheme, t.Status = out.Route, out.Host, q.Scheme, out.Status
	t.Age, t.TTL, t.Coding = out.Age, out.TTL, out.Coding
	return true
}

// heeds reports whether what the peer says of the client behind it counts, and it says something.
func (s *Snapshot) heeds(r *wire.Request) bool {
	return len(s.guard.TrustedProxies) > 0 && s.guard.Trusts(r.Peer.Addr) && (r.Has("x-forwarded-") || r.Has("forwarded"))
}

// sampled reports whether r is to be traced.
func (h *hot) sampled(r *wire.Request) bool {
	sampler := h.options.Sampler
	if sampler == nil {
		return false
	}
	parent := ""
	if h.snapshot.Load().guard.Trusts(r.Peer.Addr) {
		parent, _ = r.Line("Traceparent")
	}
	return sampler.Sample(parent)
}

// Sent tells whoever counts requests.
func (h *hot) Sent(hit *observe.Hit) {
	if h.options.Sink != nil {
		h.options.Sink.Hit(hit)
	}
}

// SameHost compares the canonical forms, as the guard makes them. Names without one differ.
func (h *hot) SameHost(authority, host string, peer *wire.Peer) bool {
	scheme := "http"
	if peer.TLS {
		scheme = "https"
	}
	a, err := edge.CanonicalHost(authority, scheme)
	if err != nil {
		return false
	}
	b, err := edge.CanonicalHost(host, scheme)
	return err == nil && a == b
}
