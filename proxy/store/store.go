package store

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
)

// ErrMiss is returned by Get when nothing is stored under the key.
var ErrMiss = errors.New("store: nothing stored under this key")

// ErrVariants is returned by Put when the object holds as many live variants as it may.
var ErrVariants = errors.New("store: too many variants")

// ErrFenced is returned by Put when the holder of a newer lease has stored already.
var ErrFenced = errors.New("store: the lease under which this was fetched has been superseded")

// ErrBudget is the cause with which a context ends when a request has lost all the time to a shared tier that it may lose.
var ErrBudget = errors.New("store: no time is left for the shared tier")

// ErrTooLarge is returned by Put when the entry is larger than the store takes.
var ErrTooLarge = errors.New("store: object too large")

// Object is all that is stored under one primary key: its variants, newest first. It is immutable.
type Object struct {
	Key      cachepolicy.Key
	Variants []*Entry

	at     ref         // the record it was made of, in memory
	recent atomic.Bool // used since the memo looked last
}

// Entry is one stored response. It is immutable: a change makes a new Entry. Two Gets may return two Entries of one response.
type Entry struct {
	cachepolicy.Meta
	// Representations in the content codings that are held; the first is the one the origin sent.
	Representations []Representation
	Tags            []string
	// Epoch is the moment in the history of purges at which the fill began.
	Epoch Epoch
	// Fence is the token of the lease under which it was filled, 0 without one: an older holder can't overwrite what a newer one stored.
	Fence uint64
	// Derivable are the content codings that may be made of the representations held: by compression, or Identity by decoding.
	Derivable compress.Set
	// Uses counts hits, so that what proves hot is compressed again at the best level; a tier may forget it. It and cleared are the only fields that
	// change.
	Uses    atomic.Uint32
	cleared atomic.Uint64 // version of the Epochs by which it was last found alive
}

// Representation is a response in wire form under one content coding.
type Representation struct {
	Coding compress.Coding
	Best   bool   // compressed at the best level, not to be tried again
	Head   string // status line and field lines, each ended by CRLF, without the empty line that ends the section;
	//             canonical field names; no Age, Connection, Cache-Status, nor Content-Length for a partial body
	Body Body
}

// Body is a sequence of immutable segments. For a partial response it holds the bytes of Meta.Spans one after the other.
type Body struct {
	Segments [][]byte
	Size     int64
}

// Store keeps objects. All methods may be called concurrently.
type Store interface {
	// Get returns the object under k, or ErrMiss. Nobody may change it. k.Full is compared.
	Get(ctx context.Context, k cachepolicy.Key) (*Object, error)
	// Try is Get, but that a store which counts what it finds and misses does not count this. It is for who asks with Get as well on behalf of the same
	// request, before or after, or does not ask for a request.
	Try(ctx context.Context, k cachepolicy.Key) (*Object, error)
	// Found counts what Try has found under k, as Get would have: it was the answer, and Get is not asked.
	Found(k cachepolicy.Key)
	// Put adds e to the object under k. It takes the place of a variant with the same Vary, else of a variant that is past all its
	// windows at now, else of none: over maxVariants it returns ErrVariants.
	Put(ctx context.Context, k cachepolicy.Key, e *Entry, maxVariants int) error
	// Replace puts e in the place of old if old is still stored, and reports whether it did.
	Replace(ctx context.Context, k cachepolicy.Key, old, e *Entry) (bool, error)
	// Delete removes the object under k.
	Delete(ctx context.Context, k cachepolicy.Key) error
}
