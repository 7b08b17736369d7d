package cost

import (
	"context"
	"maps"
	"time"
)

// Keeper keeps the account of each month.
type Keeper interface {
	// Add adds a batch to its month, unless it was added before, and returns the month's account.
	// With an empty batch it only returns the account.
	Add(ctx context.Context, b *Batch) (*Kept, error)
	// Month returns the account of a month. A month without usage is not an error.
	Month(ctx context.Context, m Month) (*Kept, error)
	// Claim reports whether writer must deliver an alert: if it was not delivered and no other
	// writer has claimed it within ClaimTime.
	Claim(ctx context.Context, a AlertKey, writer string, now time.Time) (bool, error)
	// Conclude records that an alert was handled.
	Conclude(ctx context.Context, a AlertKey, told Told) error
	// Close releases the Keeper.
	Close() error
	// Place names the storage: "redis", "file" or "memory".
	Place() string
}

const (
	// Months is the number of months that are kept, including the current one.
	Months = 13
	// ClaimTime is the time after which a claim that is not renewed expires.
	ClaimTime = 15 * time.Minute
)

// Batch is the usage that one writer adds in one step.
type Batch struct {
	Writer string // unique among all accounts that ever ran
	Serial uint64 // increases with each batch of a writer
	Month  Month
	Since  time.Time // when the writer began counting in this month
	Routes map[string]Usage
}

// Kept is the kept account of a month.
type Kept struct {
	Since  time.Time        `json:"since"` // when the first writer began counting; zero before that
	Routes map[string]Usage `json:"routes"`
	Alerts map[Share]Told   `json:"alerts,omitempty"` // alerts that were handled
	Claims map[Share]claim  `json:"claims,omitempty"` // alerts in delivery
}

type claim struct {
	Writer string    `json:"writer"`
	Until  time.Time `json:"until"`
}

// AlertKey identifies an alert: the crossing of a share of the budget in a month.
type AlertKey struct {
	Month Month
	Share Share
}

// Told is the result of an alert.
type Told struct {
	At        time.Time `json:"at"`
	Delivered bool      `json:"delivered"` // the webhook accepted it, or no webhook is configured
}

// clone returns a copy that shares no mutable data.
func (k *Kept) clone() *Kept {
	if k == nil {
		k = new(Kept)
	}
	out := &Kept{Since: k.Since, Routes: maps.Clone(k.Routes), Alerts: maps.Clone(k.Alerts), Claims: maps.Clone(k.Claims)}
	if out.Routes == nil {
		out.Routes = make(map[string]Usage)
	}
	if out.Alerts == nil {
		out.Alerts = make(map[Share]Told)
	}
	if out.Claims == nil {
		out.Claims = make(map[Share]claim)
	}
	return out
}

// add adds the usage of b.
func (k *Kept) add(b *Batch) {
	for name, u := range b.Routes {
		k.Routes[name] = k.Routes[name].Plus(u)
	}
	if k.Since.IsZero() || b.Since.Before(k.Since) {
		k.Since = b.Since
	}
}
