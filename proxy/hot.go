package proxy

import (
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/wire"
)

// Wire lets a server's connections answer from g's memory: see [wire.Attach].
func (g *Gateway) Wire() (answers wire.Hot, clock func() time.Time) {
	return (*hot)(g), g.options.clock
}

// hot is a Gateway as its connections see it.
type hot Gateway

// Answer answers r by the configuration in force, as ServeHTTP would.
func (h *hot) Answer(r *wire.Request, a *wire.Answer) bool {
	s := h.snapshot.Load()
	if limit := s.guard.HeaderBytes; limit > 0 && len(r.Head) > limit {
		return false // perhaps; the guard counts
	}
	q := cache.Question{Method: r.Method, Host: r.Host, Target: r.Target, Fields: r, Conditional: r.Conditional, Now: a.Now}
	a.Hit.ClientIP, q.Scheme = s.client(r)
	out := cache.Answer{Head: a.Head}
	if !s.memo.Answer(&q, &out) {
		a.Handed.Chance = out.Chance
		return false
	}
	a.Head, a.Body = out.Head, out.Body
	t := a.Hit
	if t.Traced, t.Trusted = h.sampled(s, r); t.Traced {
		t.Pattern = s.router.pattern(out.Route)
	}
	t.Route, t.Host, t.Scheme, t.Status = out.Route, out.Host, q.Scheme, out.Status
	t.Key, t.Age, t.TTL, t.Coding, t.ContentType, t.ETag = out.Key, out.Age, out.TTL, out.Coding, out.ContentType, out.ETag
	return true
}

// client is who sent r, and by which scheme: the peer, or who stands behind it if its word is taken. The scheme is no part of the connection's buffer.
func (s *Snapshot) client(r *wire.Request) (netip.Addr, string) {
	var claims http.Header
	if len(s.guard.TrustedProxies) > 0 && (r.Has("x-forwarded-") || r.Has("forwarded")) && s.guard.Trusts(r.Peer.Addr) {
		claims = claimsOf(r)
	}
	ip, scheme := r.Peer.Addr, "http"
	if claims != nil {
		if ip, scheme = s.guard.Client(r.Peer.Addr, r.Peer.TLS, claims); scheme != "https" {
			return ip, "http"
		}
	} else if !r.Peer.TLS {
		return ip, scheme
	}
	return ip, "https"
}

// claimsOf are the fields by which the client behind a trusted peer is known.
func claimsOf(r *wire.Request) http.Header {
	h := make(http.Header, 3)
	for name, value := range r.Lines {
		for _, claim := range edge.Claims() {
			if strings.EqualFold(name, claim) {
				h[claim] = append(h[claim], value)
			}
		}
	}
	return h
}

// sampled reports whether r is to be traced, and whether its peer is believed in that.
func (h *hot) sampled(s *Snapshot, r *wire.Request) (traced, trusted bool) {
	sampler := h.options.Sampler
	if sampler == nil {
		return false, false
	}
	parent := ""
	if trusted = s.guard.Trusts(r.Peer.Addr); trusted {
		parent, _ = r.Line("Traceparent")
	}
	return sampler.Sample(parent), trusted
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
