package cost

import (
	"context"
	"maps"
	"time"
)

// Keeper keeps the account of each month.
type Keeper interface {
	// Add adds a batch to its month, unless it was added before, and gives what is kept of the month then. An empty batch only asks.
	Add(ctx context.Context, b *Batch) (*Kept, error)
	// Month gives what is kept of a month; nothing is no error.
	Month(ctx context.Context, m Month) (*Kept, error)
	// Claim reports whether writer is to tell of an alert: nobody has told of it, and nobody else has claimed it for the time of ClaimTime.
	Claim(ctx context.Context, a AlertKey, writer string, now time.Time) (bool, error)
	// Conclude notes that an alert was told of.
	Conclude(ctx context.Context, a AlertKey, told Told) error
	// Close ends it.
	Close() error
	// Place is a word for where it is kept: "redis", "file" or "memory".
	Place() string
}

const (
	// Months is how many months are kept, the current one among them.
	Months = 13
	// ClaimTime is how long a claim of an alert holds without being renewed.
	ClaimTime = 15 * time.Minute
)

// Batch is what one writer adds at once.
type Batch struct {
	Writer string // unique for each account that ever ran
	Serial uint64 // rises with each batch of a writer
	Month  Month
	Since  time.Time // when the writer began to count in this month
	Routes map[string]Usage
}

// Kept is what is kept of a month.
type Kept struct {
	Since  time.Time        `json:"since"` // when somebody began to count; zero: nobody has
	Routes map[string]Usage `json:"routes"`
	Alerts map[Share]Told   `json:"alerts,omitempty"` // those that were told
	Claims map[Share]claim  `json:"claims,omitempty"` // those that are being told
}

type claim struct {
	Writer string    `json:"writer"`
	Until  time.Time `json:"until"`
}

// AlertKey names an alert: the crossing of a share of the budget in a month.
type AlertKey struct {
	Month Month
	Share Share
}

// Told is what became of an alert.
type Told struct {
	At        time.Time `json:"at"`
	Delivered bool      `json:"delivered"` // the webhook took it, or there is none
}

// clone is a copy that shares nothing that changes.
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

// add counts b into k.
func (k *Kept) add(b *Batch) {
	for name, u := range b.Routes {
		k.Routes[name] = k.Routes[name].Plus(u)
	}
	if k.Since.IsZero() || b.Since.Before(k.Since) {
		k.Since = b.Since
	}
}
