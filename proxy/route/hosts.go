package route

import (
	"hash/maphash"
	"strings"
	"sync/atomic"

	"github.com/penstock/penstock/proxy/edge"
)

// Hosts remembers the canonical form of some Host fields, so that it is not computed for each
// request. It may be used concurrently.
type Hosts struct {
	seed  maphash.Seed
	known [1 << 10]atomic.Pointer[Host] // a host takes the place that its hash gives, and replaces any other host there
}

// Host is a Host field as a client sent it, the scheme that the client used, and the canonical
// form.
type Host struct{ Raw, Scheme, Canonical string }

// NewHosts returns an empty Hosts.
func NewHosts() *Hosts { return &Hosts{seed: maphash.MakeSeed()} }

// Find returns the canonical form of a Host field, or nil if the field is not valid. It does not
// keep raw.
func (h *Hosts) Find(raw, scheme string) *Host {
	at := &h.known[maphash.String(h.seed, raw)%uint64(len(h.known))]
	if k := at.Load(); k != nil && k.Raw == raw && k.Scheme == scheme {
		return k
	}
	kept := strings.Clone(raw)
	canonical, err := edge.CanonicalHost(kept, scheme)
	if err != nil {
		return nil
	}
	k := &Host{kept, scheme, canonical}
	at.Store(k)
	return k
}
