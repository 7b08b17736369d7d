package write

import (
	"context"
	"time"
)

// Bounds are the limits of a store.
type Bounds struct {
	Max     int           // pending writes
	Bytes   int64         // bytes of the pending writes
	Keep    time.Duration // how long the state and the Idempotency-Key of a finished write are kept
	Dead    int           // dead letters
	DeadAge time.Duration
	// AcceptEviction accepts writes even if the store may evict them.
	AcceptEviction bool
}

// Store keeps writes durably. A write that Add has acknowledged survives any end of the process. A
// Store may be used concurrently.
type Store interface {
	// Add stores w and returns its ID. If a write with the same Idempotency-Key and payload exists,
	// Add returns its ID. It returns ErrFull if there is no room, and ErrConflict if the key exists
	// with another payload. After any other error it is unknown whether w is stored.
	Add(ctx context.Context, w *Write) (id string, err error)
	// Find returns a write and its state, or ErrUnknown. If the write has ended, only its outline
	// is left.
	Find(ctx context.Context, id string) (*Record, error)
	// Newest returns the last accepted write under that name that is not applied yet, or
	// ErrUnknown.
	Newest(ctx context.Context, seen string) (*Write, error)
	// Held returns the names with queued writes that this instance knows: at least the writes that
	// it has queued itself, until they are applied.
	Held() *Held
	// Letters returns up to most dead letters, the oldest first.
	Letters(ctx context.Context, most int) ([]*Record, error)
	// Replay puts a dead letter at the end of its lane.
	Replay(ctx context.Context, id string) error
	// Drop removes a dead letter. Its state remains until it expires.
	Drop(ctx context.Context, id string) error
	Stats(ctx context.Context) (Stats, error)
	// Hold calls work for each part of the lanes that this instance should work on, until ctx ends.
	// If the part must go to another instance, the context of work ends. Hold returns when all
	// calls of work have returned.
	Hold(ctx context.Context, work func(context.Context, Part))
	Close() error
}

// Part is one part of the lanes. Only its holder may apply the part's writes.
type Part interface {
	// Held returns a context that ends when this instance loses the part. The holder must send
	// nothing upstream afterwards.
	Held() context.Context
	// Next waits for entries that it has not returned before, and returns them in order. If the
	// store has gone back to an earlier state, Next returns the entries that are unsettled in that
	// state once more.
	Next(ctx context.Context) ([]Entry, error)
	// Load returns the write of an entry, or ErrUnknown.
	Load(ctx context.Context, e Entry) (*Record, error)
	// Put records the result of a write. If the write has ended, it leaves the queue. If another
	// instance holds the part now, Put records nothing and returns ErrLost.
	Put(ctx context.Context, e Entry, r *Record) error
	// Lose removes an entry whose write is missing or damaged. It records the write as lost and
	// keeps its remains aside. If the write has already ended, Lose only removes the entry.
	Lose(ctx context.Context, e Entry) error
}

// Entry is an element of the queue.
type Entry struct {
	ID    string
	Lane  string
	Place string // position in the form of the store
	Again bool   // true if an instance that has died may have sent the write
}

// Problem returns the reason why s can't accept writes now, or nil if it can or does not tell.
func Problem(s Store) error {
	if p, ok := s.(interface{ Problem() error }); ok {
		return p.Problem()
	}
	return nil
}
