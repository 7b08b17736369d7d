package proxy

import (
	"strings"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache"
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
