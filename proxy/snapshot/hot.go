package snapshot

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/wire"
)

// hot is the interface of a Server to its connections.
type hot Server

// Answer answers r by the configuration in force, as ServeHTTP would. It returns false if the
// handler must answer r.
func (h *hot) Answer(r *wire.Request, a *wire.Answer) bool {
	s := h.current.Load()
	if limit := s.guard.HeaderBytes; limit > 0 && len(r.Head) > limit {
		return false // the guard makes the exact count
	}
	q := cache.Question{Method: r.Method, Host: r.Host, Target: r.Target, Fields: r, Conditional: r.Conditional, Now: a.Now}
	q.Client, q.Scheme, q.Host = s.client(r)
	a.Hit.ClientIP = q.Client
	out := cache.Answer{Head: a.Head}
	if !s.answer(&q, &out) {
		a.Handed = s.handOver(&out)
		return false
	}
	a.Head, a.Body = out.Head, out.Body
	t := a.Hit
	if t.Traced, t.Trusted = h.sampled(s, r); t.Traced {
		t.Pattern = s.router.Pattern(out.Route)
	}
	t.Route, t.Host, t.Scheme, t.Status = out.Route, out.Host, q.Scheme, out.Status
	t.Key, t.Age, t.TTL, t.Coding, t.ContentType, t.ETag = out.Key, out.Age, out.TTL, out.Coding, out.ContentType, out.ETag
	t.Hidden = out.Hidden
	return true
}

// answer answers q from memory and returns true. Otherwise it puts the located place for the
// handler into a.
func (s *Snapshot) answer(q *cache.Question, a *cache.Answer) bool {
	if s.memo.Answer(q, a) {
		return true
	}
	if a.Located != nil {
		return false
	}
	var at located
	if !s.locate(q, &at) {
		return false
	}
	if !at.answerable() || !s.memo.AnswerAt(&at.Place, q, a) {
		a.Located = at.kept(q)
		return false
	}
	if s.memo.Learns() {
		s.memo.Remember(at.Resource, at.kept(q))
	}
	return true
}

// handOver returns the facts that the handler learns about a request that the connection does not
// answer.
func (s *Snapshot) handOver(a *cache.Answer) wire.Handed {
	handed := wire.Handed{Chance: a.Chance}
	if a.Located != nil {
		a.Located.By = s
		handed.Located = a.Located
	}
	return handed
}

// own returns the place that a connection handed over, if s located it, and nil otherwise. Another
// snapshot may have other routes.
func (s *Snapshot) own(handed wire.Handed) *edge.Located {
	if at, ok := handed.Located.(*edge.Located); ok && at.By == any(s) {
		return at
	}
	return nil
}

// client returns the IP address of r's client, and the scheme and host that the client used. They
// are the peer's, or those that a trusted peer reports. The scheme is not a view of the
// connection's buffer.
func (s *Snapshot) client(r *wire.Request) (ip netip.Addr, scheme, host string) {
	ip, scheme, host = r.Peer.Addr, "http", r.Host
	if len(s.guard.TrustedProxies) > 0 && (r.Has("x-forwarded-") || r.Has("forwarded")) && s.guard.Trusts(r.Peer.Addr) {
		ip, scheme, host = s.guard.Client(r.Peer.Addr, r.Peer.TLS, r.Host, claimsOf(r))
		if scheme != "https" {
			return ip, "http", host
		}
	} else if !r.Peer.TLS {
		return ip, scheme, host
	}
	return ip, "https", host
}

// claimsOf returns the fields by which a trusted peer reports its client.
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

// sampled reports whether r is traced, and whether its peer is trusted to decide that.
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

// Sent reports a hit to the Sink.
func (h *hot) Sent(hit *observe.Hit) {
	if h.options.Sink != nil {
		h.options.Sink.Hit(hit)
	}
}
