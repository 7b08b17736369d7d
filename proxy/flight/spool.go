package flight

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"
)

const (
	segmentSize = 64 << 10 // size of the largest segment
	// Size of the first segment: sizes double from here, so that small bodies take little memory.
	firstSegment = 4 << 10
	window       = 1 << 20 // maximum lag of the slowest reader once the body exceeds the limit
)

// spool is a body that grows while it is read. Segments only grow within their capacity, beyond the
// bytes that any reader has received, so received bytes never change.
type spool struct {
	patience time.Duration
	now      func() time.Time
	// Removes the flight from its group; takes the group's lock, so it is called without ours.
	detach func()

	mu        sync.Mutex
	changed   signal // signals a head, bytes or the end to readers
	room      signal // signals to the writer that a reader moved, waits, came or went
	announced bool
	nudges    int
	ended     bool
	err       error // if ended: nil means complete
	followers int   // followers that have joined and not left
	pending   int   // followers that have not opened a reader yet: each pins byte 0
	// Time of the announcement or of the last follower after it; pending followers must read soon
	// after.
	lastJoined    time.Time
	pendingCutOff bool // true if pending followers were cut off as slow readers

	keep     int64
	expected int64 // the size that the body is announced to have; 0: not known
	over     bool  // true if the body exceeds keep: the flight is detached and drops segments
	segments [][]byte
	dropped  int   // number of segments dropped before segments[0]
	size     int64 // bytes written, including dropped ones
	readers  map[*Reader]struct{}
	attend   func(change int) // called when consumers come and go; may be nil
	open     int              // readers that are consumers
	parked   int              // readers that have read everything and wait
	passed   int64            // a position that every reader has passed; avoids a look at all readers in each Write
}

// admitFollower adds a follower, unless limit others already wait for the head.
func (s *spool) admitFollower(limit int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if limit > 0 && s.followers >= limit && !s.announced {
		return false
	}
	s.followers++
	s.notifyConsumers(1)
	s.pending++
	s.lastJoined = s.now()
	return true
}

// finish ends the body. The caller holds the lock.
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

// admit returns when bytes may be appended. The caller holds the lock, and admit releases it while
// it waits.
func (s *spool) admit(more int64) error {
	if s.announced && !s.ended && !s.over && s.size+more > s.keep {
		s.over = true
		// If a follower still finds the flight in its group, it is counted as pending before
		// anything is dropped.
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

// push appends as much of p as fits into the current segment.
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

// nextSize returns the capacity of the next segment: twice the last one, at least n, within the
// limits. It does not exceed the rest of a body of known size, so that the last segment has no
// spare room that body would have to clip.
func (s *spool) nextSize(n int) int {
	size := firstSegment
	if last := len(s.segments) - 1; last >= 0 {
		size = 2 * cap(s.segments[last])
	}
	size = min(max(size, n), segmentSize)
	if left := s.expected - s.size; left > 0 {
		size = int(min(int64(size), left))
	}
	return size
}

// awaitReaders blocks while the slowest reader is more than a window behind.
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

// slowest returns the position of the slowest reader.
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

// cutOff removes the readers that delay the writer and have made no progress for too long while
// others wait. If it removes no reader, it returns the time until the next check, or 0 if no reader
// waits. began is when the writer started to wait: before that a reader may have had nothing to
// read, which is not its fault.
func (s *spool) cutOff(began time.Time) (wait time.Duration, cut bool) {
	if s.parked == 0 {
		return 0, false
	}
	now, wait := s.now(), s.patience
	if s.pending > 0 {
		left := s.patience - now.Sub(s.lastJoined)
		if left <= 0 {
			s.pending, s.pendingCutOff = 0, true
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

// forget drops the segments that every reader has passed if the body exceeds the limit.
func (s *spool) forget() {
	if !s.over || s.pending > 0 {
		return
	}
	low := s.dropped + len(s.segments)
	for r := range s.readers {
		low = min(low, r.segment)
	}
	n := low - s.dropped
	clear(s.segments[:n]) // the array is not shared, but outlives the reslicing
	s.segments = s.segments[n:]
	s.dropped = low
}

// notifyConsumers reports a change in the number of consumers. The caller holds the lock.
func (s *spool) notifyConsumers(change int) {
	if s.attend != nil && change != 0 {
		s.attend(change)
	}
}

// start adds a reader at byte 0. A tap is not a consumer.
func (s *spool) start(ctx context.Context, tap bool) *Reader {
	r := &Reader{spool: s, ctx: ctx, tap: tap, moved: s.now()}
	if s.dropped > 0 {
		r.err = ErrTooLate
		return r
	}
	if s.readers == nil {
		s.readers = make(map[*Reader]struct{})
	}
	s.readers[r] = struct{}{}
	if !tap {
		s.open++
		s.notifyConsumers(1)
	}
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
	// All segments but the last are full. Clip the last one, so that a stored body takes no more
	// memory than its size.
	if last := len(kept) - 1; last >= 0 && cap(s.segments[last]) > len(kept[last]) {
		kept[last] = slices.Clip(bytes.Clone(kept[last]))
	}
	return kept, s.size, true
}
