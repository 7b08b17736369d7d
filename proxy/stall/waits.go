package stall

import (
	"context"
	"sync"
	"time"
)

const (
	// StillAfter is how long a peer must send nothing, while all calls wait for it, to count as
	// stalled. It is longer than the pauses of a peer on a bad line.
	StillAfter = time.Second
	// StillTaking is how long a peer must read nothing to count as stalled. It is longer, since the
	// progress of a slow reader becomes visible only in large pieces.
	StillTaking = 5 * time.Second
)

// Waits tells whether all calls of one connection wait for its peer. The methods that record a
// change do nothing on a nil Waits.
type Waits struct {
	mu      sync.Mutex
	running int       // number of calls
	shared  bool      // the connection can carry several calls at once
	sends   int       // number of calls that wait for the peer to send
	takes   int       // number of calls that wait for the peer to read
	since   time.Time // time of the last change
}

// Begin records the begin of a call. shared is true if the connection can carry several calls at
// once.
func (w *Waits) Begin(shared bool) {
	w.change(1, 0, 0)
	if w != nil && shared {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.shared = true
	}
}

// End records the end of a call.
func (w *Waits) End() { w.change(-1, 0, 0) }

// Sends records that a call begins (true) or ends (false) to wait for the peer to send.
func (w *Waits) Sends(begins bool) { w.change(0, step(begins), 0) }

// Takes records that a call begins (true) or ends (false) to wait for the peer to read.
func (w *Waits) Takes(begins bool) { w.change(0, 0, step(begins)) }

func step(begins bool) int {
	if begins {
		return 1
	}
	return -1
}

func (w *Waits) change(running, sends, takes int) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running, w.sends, w.takes, w.since = w.running+running, w.sends+sends, w.takes+takes, time.Now()
}

// StillSince returns the time, in Unix nanoseconds, since which all calls wait for the peer without
// progress. It returns 0 if a call does not wait for the peer, if there is no call, or if the wait
// is still short.
func (w *Waits) StillSince(now time.Time) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running == 0 || w.sends+w.takes < w.running {
		return 0
	}
	return still(w.since, now, w.takes > 0)
}

// LeftSince returns the time, in Unix nanoseconds, since which a shared connection has no call. If
// the connection is not idle, which the caller knows, its peer has not read the data of earlier
// calls. Like StillSince it returns 0 while the time is short.
func (w *Waits) LeftSince(now time.Time) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running > 0 || !w.shared {
		return 0
	}
	return still(w.since, now, true)
}

func still(since, now time.Time, taking bool) int64 {
	after := StillAfter
	if taking {
		after = StillTaking
	}
	if since.IsZero() || now.Sub(since) < after {
		return 0
	}
	return since.UnixNano()
}

type waitsKey struct{}

// WithWaits returns a context for the calls of a connection.
func WithWaits(ctx context.Context, w *Waits) context.Context {
	return context.WithValue(ctx, waitsKey{}, w)
}

// WaitsOf returns the Waits of a call's connection, or nil if there is none.
func WaitsOf(ctx context.Context) *Waits {
	w, _ := ctx.Value(waitsKey{}).(*Waits)
	return w
}
