package store

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
)

// ErrMiss is returned by Get and Peek if no object is stored under the key.
var ErrMiss = errors.New("store: nothing stored under this key")

// ErrFenced is returned by Put if the holder of a newer lease has already stored a response.
var ErrFenced = errors.New("store: the lease under which this was fetched has been superseded")

// ErrBudget is the context's cause if a request has used up its time budget for the shared tier.
var ErrBudget = errors.New("store: no time is left for the shared tier")

// ErrTooLarge is returned by Put and Replace if the entry exceeds the store's limit.
var ErrTooLarge = errors.New("store: object too large")

// Object holds all variants that are stored under one primary key, newest first. It is immutable.
type Object struct {
	Key      cachepolicy.Key
	Variants []*Entry

	at     ref         // the record that the object was decoded from, in Memory
	recent atomic.Bool // true if the object was used since decoded.claim last saw it
}

// Entry is one stored response. It is immutable: a change makes a new Entry. Two Gets may return
// two Entries of the same response.
type Entry struct {
	cachepolicy.Meta
	// Representations holds the response in each stored content coding. The first is the coding
	// that the origin sent.
	Representations []Representation
	Tags            []string
	// Epoch is the moment in the history of purges at which the fill began.
	Epoch Epoch
	// Fence is the token of the lease under which the response was fetched, or 0 if there was no
	// lease. The holder of an older lease can't overwrite an entry of a newer one.
	Fence uint64
	// Derivable holds the content codings that the instance may make from the stored
	// representations: by compression, or Identity by decoding.
	Derivable compress.Set
	// Uses counts hits, so that the cache compresses a hot entry again at the best level. Uses,
	// picked and cleared are the only fields that change. A tier may forget them.
	Uses    atomic.Uint32
	picked  atomic.Uint64 // see Pick
	cleared atomic.Uint64 // version of the Epochs that last found the entry alive
}

// Representation is a response in wire form under one content coding.
type Representation struct {
	Coding compress.Coding
	Best   bool   // true if the body is compressed at the best level, so that no second attempt is made
	Head   string // status line and field lines, each ended by CRLF, without the empty line that ends the section;
	//             canonical field names; no Age, Connection, Cache-Status, nor Content-Length for a partial body
	Body Body
}

// Body is a sequence of immutable segments. For a partial response it holds the bytes of
// Meta.Spans, one span after the other.
type Body struct {
	Segments [][]byte
	Size     int64
}

// Store keeps objects. All methods may be called concurrently.
type Store interface {
	// Get returns the object under k, or ErrMiss. It compares k.Full, not only the hash. Callers
	// must not change the object.
	Get(ctx context.Context, k cachepolicy.Key) (*Object, error)
	// Peek is Get without touching the hit and miss counters. Use it for a second lookup on behalf
	// of the same request, or for lookups that no request caused (purge, explain, refresh).
	Peek(ctx context.Context, k cachepolicy.Key) (*Object, error)
	// CountHit counts a hit under k, as Get does, and CountMiss a miss. Call them if the result of a
	// Peek decided how a request is answered.
	CountHit(k cachepolicy.Key)
	CountMiss(k cachepolicy.Key)
	// Put adds e to the object under k. It replaces the variant with the same Vary if there is one,
	// or else a variant that is past all its windows. If the object then has more than maxVariants
	// variants (0 means no limit), the least used variant is removed.
	Put(ctx context.Context, k cachepolicy.Key, e *Entry, maxVariants int) error
	// Replace stores e in place of old if old is still stored, and reports whether it did.
	Replace(ctx context.Context, k cachepolicy.Key, old, e *Entry) (bool, error)
	// Delete removes the object under k.
	Delete(ctx context.Context, k cachepolicy.Key) error
}

// LeaseResult is the outcome of a fill under a lease. A lease is the right of one instance to fill
// a key on behalf of all instances.
type LeaseResult uint8

const (
	Vanished    LeaseResult = iota // zero value: the holder did not report in time, and a waiting instance may try to take the lease
	Filled                         // the response is in the shared tier
	Unshareable                    // the response is for its client alone, so each instance must ask the origin itself
	Failed                         // the origin failed
)
