package tiers

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/proxy/store"
)

// Tiers are the tiers of a cache with the knowledge about which responses in them may be used. They
// may be used concurrently.
type Tiers struct {
	Store  store.Store // the tier within the process
	Shared Shared      // the tier of all instances; nil: no such tier
	// SharedBudget bounds the time that one request may spend on Shared in all.
	SharedBudget time.Duration
	Epochs       *store.Epochs // the history of purges; nil: there are no purges
	Now          func() time.Time
	Random       func() float64 // in [0,1), for jitter
	Log          *slog.Logger

	Invalidations Invalidations
	Revisions     revisions
	serial        atomic.Uint64
}

// NextSeq returns the next number in the order of the responses that this instance has received.
func (t *Tiers) NextSeq() uint64 { return t.serial.Add(1) }
