package proxy

import (
	"strings"
	"sync/atomic"

	"github.com/penstock/penstock/proxy/edge"
)

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
