package tiers

import (
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/entry"
	"github.com/penstock/penstock/proxy/store"
)

// Alive returns e as it is after all purges. That is e itself, e with a shortened lifetime after a
// soft purge, e with a duty to validate if this instance may have missed a purge, or nil.
func (t *Tiers) Alive(k cachepolicy.Key, e *store.Entry, now time.Time) *store.Entry {
	if e == nil || t.Epochs == nil {
		return e
	}
	switch fate, at := t.Epochs.FateOf(k, e); fate {
	case store.Alive:
		return e
	case store.Soft:
		return entry.Softened(e, at, now)
	case store.Doubtful:
		return entry.Doubted(e)
	}
	return nil
}
