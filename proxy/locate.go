package proxy

import (
	"strings"
	"sync/atomic"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/write"
)

// locate says where the answer to a request is, whose Host and target are given as they came: what the guard, the router and the route make of one
// whose path and query are canonical as they are. With this a hit costs the same however many URLs there are; the memo spares it for those that are
// asked for often.
func (s *Snapshot) locate(method, scheme, host, target string) (at cache.Place, ok bool) {
	path, query, ok := s.guard.Parts(target)
	if !ok || s.writes != nil && strings.HasPrefix(path, write.StatePath) {
		return at, false
	}
	if at.Host, ok = s.hosts.canonical(host, scheme); !ok {
		return at, false
	}
	rt, _ := s.router.find(at.Host, path, method, nil)
	if rt == nil || !rt.direct || rt.https && scheme != "https" {
		return at, false
	}
	at.Resource = rt.resource
	why := cachepolicy.ReasonNone
	at.Key, why = rt.rules.Key(&cachepolicy.Request{Method: method, Scheme: scheme, Host: at.Host, Path: path, RawQuery: query})
	return at, why == cachepolicy.ReasonNone
}

// hosts remembers the canonical form of some hosts as they come, so that it need not be made for each request.
type hosts [1 << 10]atomic.Pointer[knownHost]

type knownHost struct{ raw, scheme, canonical string }

// canonical is that of a Host field, which is not kept.
func (h *hosts) canonical(raw, scheme string) (string, bool) {
	at := &h[hostPlace(raw)%uint32(len(h))]
	if k := at.Load(); k != nil && k.raw == raw && k.scheme == scheme {
		return k.canonical, true
	}
	kept := strings.Clone(raw)
	canonical, err := edge.CanonicalHost(kept, scheme)
	if err != nil {
		return "", false
	}
	at.Store(&knownHost{kept, scheme, canonical})
	return canonical, true
}

// hostPlace spreads hosts. Two that meet cost each other no more than their canonical form.
func hostPlace(host string) (h uint32) {
	for i := range len(host) {
		h = (h ^ uint32(host[i])) * 16777619 // FNV-1a
	}
	return h ^ h>>16
}
