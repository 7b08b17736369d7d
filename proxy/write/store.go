package write

import (
	"context"
	"time"
)

// Bounds are what a store keeps.
type Bounds struct {
	Max     int           // writes to be applied
	Bytes   int64         // of them
	Keep    time.Duration // how long the state of what is done, and its Idempotency-Key, is kept
	Dead    int           // letters
	DeadAge time.Duration
}

// Store keeps writes durably: what Add has returned is there after any end of the process. It may be used concurrently.
type Store interface {
	// Add stores w, and gives its ID, or that of the write which came with the same Idempotency-Key and payload before. It returns ErrFull, or
	// ErrConflict for that key with another payload; any other error means that nobody knows whether it is stored.
	Add(ctx context.Context, w *Write) (id string, err error)
	// Find gives a write and its state, or ErrUnknown. Of one that is done there is only the outline.
	Find(ctx context.Context, id string) (*Record, error)
	// Newest is the write that was accepted last of those that are not applied yet and are seen under that name, or ErrUnknown.
	Newest(ctx context.Context, seen string) (*Write, error)
	// Letters are the dead letters, the oldest first.
	Letters(ctx context.Context, most int) ([]*Record, error)
	// Replay puts a dead letter at the end of its lane.
	Replay(ctx context.Context, id string) error
	// Drop removes a dead letter.
	Drop(ctx context.Context, id string) error
	Stats(ctx context.Context) (Stats, error)
	// Hold runs work for each part of the lanes that this instance is to work on, until ctx ends or the part is to go to another, which the context
	// of work says. It returns when all work has.
	Hold(ctx context.Context, work func(context.Context, Part))
	Close() error
}

// Part is a part of the lanes, of which its holder alone may apply writes.
type Part interface {
	// Held ends when the part is not this instance's any more: nothing may be sent upstream after that.
	Held() context.Context
	// Next waits for writes that it has not returned before, and returns them in their order.
	Next(ctx context.Context) ([]Entry, error)
	// Load gives the write of an entry, or ErrUnknown.
	Load(ctx context.Context, e Entry) (*Record, error)
	// Put notes what has become of a write; one that has ended leaves the queue. ErrLost says that the part is another's now: nothing was noted.
	Put(ctx context.Context, e Entry, r *Record) error
	// Remove takes out an entry of which there is no write.
	Remove(ctx context.Context, e Entry) error
}

// Entry is a place in the queue.
type Entry struct {
	ID    string
	Lane  string
	Place string // where it is, in the words of its store
	Again bool   // somebody may have sent it before, and died
}
