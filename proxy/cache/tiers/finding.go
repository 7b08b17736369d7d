package tiers

import (
	"time"

	"github.com/penstock/penstock/cachepolicy"
)

// Variation holds the known facts about the fields that the responses under a key vary on.
type Variation struct {
	Vary cachepolicy.Vary
	// VaryMiss is true if responses are stored under the key, but no variant for this request.
	VaryMiss bool
}

// ForwardOf returns the reason why a request goes to the origin, in the words of RFC 9211.
func (v *Variation) ForwardOf(d cachepolicy.Decision) cachepolicy.Forward {
	if v.VaryMiss && d.Reason == cachepolicy.ReasonMiss {
		return cachepolicy.ForwardVaryMiss
	}
	return d.Reason.Forward()
}

// Moment is the time of a decision, with the random draws in [0,1) for it.
type Moment struct {
	Now    time.Time
	Chance float64 // for an early refresh
	Jitter float64 // for a lifetime that is counted anew
}

// Names of the tiers in which a response was found.
const (
	Memory = "memory" // of the process
	Redis  = "redis"  // shared by all instances
	Queue  = "queue"  // of writes: a queued write gives the response
)
