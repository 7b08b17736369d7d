package flight

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"
)

const (
	segmentSize  = 64 << 10 // the largest segment
	firstSegment = 4 << 10  // the smallest: segments double from here, so that small bodies stay small
	window       = 1 << 20  // how far the slowest reader may be behind once the body is too large to be kept
)

// spool is a body that grows while it is read. Segments are only ever appended to within their capacity, beyond what any reader has been
// given, so bytes once seen never change.
type spool struct {
	patience time.Duration
	now      func() time.Time
	detach   func() // leaves the group; takes the group's lock, so it is called without ours

	mu        sync.Mutex
	changed   signal // head, bytes or end are there: readers wait for it
	room      signal // a reader moved, parked, came or went: the writer waits for it
	announced bool
	ended     bool
	err       error     // with ended: nil says complete
	aboard    int       // followers that have joined and not left
	pending   int       // of these, the ones that have not opened a reader yet: each pins byte 0
	boarded   time.Time // when the head was announced, or later the last follower came: from then pending ones are to make haste
	expelled  bool      // pending ones have been cut off, as slow readers are

	keep     int64
	over     bool // more than keep was written: the flight is detached and forgets what was read
	segments [][]byte
	dropped  int   // segments forgotten before segments[0]
	size     int64 // bytes written, the forgotten ones included
	readers  map[*Reader]struct{}
	parked   int   // readers that have read everything and wait
	passed   int64 // a position that every reader is known to have passed: spares looking at all of them at each Write
}

// board counts a follower in, unless limit others wait for the head already.
func (s *spool) board(limit int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if limit > 0 && s.aboard >= limit && !s.announced {
		return false
	}
	s.aboard++
	s.pending++
	s.boarded = s.now()
	return true
}

// finish ends the body. The lock is held.
func (s *spool) finish(err error) {
	s.ended, s.err = true, err
	s.changed.signal()
	s.room.signal()
}

func (s *spool) write(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if err := s.admit(int64(len(p))); err != nil {
			return n, err
		}
		k := s.push(p)
		n, p = n+k, p[k:]
		s.changed.signal()
		if len(p) == 0 {
			return n, nil
		}
	}
}

// admit returns when bytes may be appended. The lock is held, and given up while it waits.
func (s *spool) admit(more int64) error {
	if s.announced && !s.ended && !s.over && s.size+more > s.keep {
		s.over = true
		// A follower that still finds the flight in its group is counted as pending before anything is dropped.
		s.mu.Unlock()
		s.detach()
		s.mu.Lock()
	}
	if s.over {
		if err := s.awaitReaders(); err != nil {
			return err
		}
	}
	switch {
	case s.ended:
		return ErrEnded
	case !s.announced:
		return ErrNotAnnounced
	}
	return nil
}

// push appends as much of p as the current segment takes.
func (s *spool) push(p []byte) int {
	if len(p) == 0 {
		return 0
	}
	last := len(s.segments) - 1
	if last < 0 || len(s.segments[last]) == cap(s.segments[last]) {
		s.forget()
		s.segments = append(s.segments, make([]byte, 0, s.nextSize(len(p))))
		last = len(s.segments) - 1
	}
	seg := s.segments[last]
	k := min(len(p), cap(seg)-len(seg))
	s.segments[last] = append(seg, p[:k]...)
	s.size += int64(k)
	return k
}

// nextSize is the capacity of the next segment: double the last, enough for n, within the bounds.
func (s *spool) nextSize(n int) int {
	size := firstSegment
	if last := len(s.segments) - 1; last >= 0 {
		size = 2 * cap(s.segments[last])
	}
	return min(max(size, n), segmentSize)
}

// awaitReaders blocks while the slowest reader is behind by more than the window.
func (s *spool) awaitReaders() error {
	var timer *time.Timer
	began := s.now()
	for !s.ended {
		if len(s.readers) == 0 && s.pending == 0 {
			return ErrAbandoned
		}
		if s.size-s.passed <= window {
			return nil
		}
		if s.passed = s.slowest(); s.size-s.passed <= window {
			return nil
		}
		wait, cut := s.cutOff(began)
		if cut {
			continue
		}
		var tick <-chan time.Time
		if wait > 0 {
			if timer == nil {
				timer = time.NewTimer(wait)
				defer timer.Stop()
			} else {
				timer.Reset(wait)
			}
			tick = timer.C
		}
		_ = s.room.wait(context.Background(), &s.mu, tick)
	}
	return nil
}

// slowest is the position of the slowest reader.
func (s *spool) slowest() int64 {
	if s.pending > 0 {
		return 0
	}
	low := s.size
	for r := range s.readers {
		low = min(low, r.pos)
	}
	return low
}

// cutOff removes the readers that hold the writer up and have not moved for too long while others wait. If there are none, it returns when
// the first may be due, 0 when nobody waits. began is when the writer came to wait: before that a reader may have stood still because there was
// nothing to read, which is nobody's fault.
func (s *spool) cutOff(began time.Time) (wait time.Duration, cut bool) {
	if s.parked == 0 {
		return 0, false
	}
	now, wait := s.now(), s.patience
	if s.pending > 0 {
		left := s.patience - now.Sub(s.boarded)
		if left <= 0 {
			s.pending, s.expelled = 0, true
			return 0, true
		}
		wait = left
	}
	for r := range s.readers {
		if s.size-r.pos <= window {
			continue
		}
		moved := r.moved
		if moved.Before(began) {
			moved = began
		}
		left := s.patience - now.Sub(moved)
		if left > 0 {
			wait = min(wait, left)
			continue
		}
		r.fail(ErrSlow)
		cut = true
	}
	return wait, cut
}

// forget drops the segments that every reader has passed, once the body is too large to be kept.
func (s *spool) forget() {
	if !s.over || s.pending > 0 {
		return
	}
	low := s.dropped + len(s.segments)
	for r := range s.readers {
		low = min(low, r.segment)
	}
	n := low - s.dropped
	clear(s.segments[:n]) // the array is shared with nobody, but outlives the reslicing
	s.segments = s.segments[n:]
	s.dropped = low
}

// open adds a reader at byte 0.
func (s *spool) open(ctx context.Context) *Reader {
	r := &Reader{spool: s, ctx: ctx, moved: s.now()}
	if s.dropped > 0 {
		r.err = ErrTooLate
		return r
	}
	if s.readers == nil {
		s.readers = make(map[*Reader]struct{})
	}
	s.readers[r] = struct{}{}
	s.passed = 0
	return r
}

func (s *spool) body() ([][]byte, int64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return nil, s.size, false
	}
	kept := slices.Clone(s.segments)
	for i, seg := range kept {
		kept[i] = seg[:len(seg):len(seg)]
	}
	// All but the last are full: cut that to size, so that what is kept costs what it holds.
	if last := len(kept) - 1; last >= 0 && cap(s.segments[last]) > len(kept[last]) {
		kept[last] = slices.Clip(bytes.Clone(kept[last]))
	}
	return kept, s.size, true
}
