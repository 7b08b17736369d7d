package proxy

import (
	"hash/maphash"
	"strings"
	"sync/atomic"

	"github.com/penstock/penstock/proxy/edge"
)

// hosts remembers the canonical form of some hosts as they come, so that it need not be made for each request.
type hosts struct {
	seed  maphash.Seed
	known [1 << 10]atomic.Pointer[knownHost] // two hosts that meet cost each other no more than their canonical form
}

type knownHost struct{ raw, scheme, canonical string }

func newHosts() *hosts { return &hosts{seed: maphash.MakeSeed()} }

// canonical is that of a Host field, which is not kept.
func (h *hosts) canonical(raw, scheme string) (string, bool) {
	at := &h.known[maphash.String(h.seed, raw)%uint64(len(h.known))]
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
