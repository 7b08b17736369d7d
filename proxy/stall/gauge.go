// Package stall bounds the time in which a peer accepts no data. It knows
// nothing of HTTP.
//
// A deadline on each write does not suffice. A kernel buffers megabytes for a connection and
// reports room for more only when a third of the buffer is free again. So a client that reads ten
// kilobytes a second keeps one write waiting for minutes, although it always makes progress.
// Therefore the package checks a waiting write from time to time, and treats it as stalled only if
// the peer has acknowledged nothing in between.
package stall

import "time"

// looks is the number of checks of a waiting write within the limit.
const looks = 4

// Gauge distinguishes a stalled peer from a slow one. It belongs to one write.
type Gauge struct {
	limit  time.Duration
	last   time.Time // time of the last observed progress
	sent   int
	queued int
	marked bool // sent and queued are known
}

// Start returns the gauge of a write that begins to wait at now.
func Start(limit time.Duration, now time.Time) Gauge { return Gauge{limit: limit, last: now} }

// Stalled reports whether the peer has made no progress for the limit. sent is the number of bytes
// of the write that the kernel has accepted so far. queued is the number of unacknowledged bytes in
// the kernel, or -1 if it is unknown.
func (g *Gauge) Stalled(now time.Time, sent, queued int) bool {
	if g.marked && (sent > g.sent || queued >= 0 && queued < g.queued) {
		g.last = now
	}
	g.sent, g.queued, g.marked = sent, queued, true
	return now.Sub(g.last) >= g.limit
}

// Next returns the time of the next check.
func (g *Gauge) Next(now time.Time) time.Time {
	next := now.Add(Interval(g.limit))
	if due := g.last.Add(g.limit); due.After(now) && due.Before(next) {
		return due
	}
	return next
}

// Interval returns the time between two checks of a waiting write.
func Interval(limit time.Duration) time.Duration { return max(limit/looks, time.Millisecond) }
