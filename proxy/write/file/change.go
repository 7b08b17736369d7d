package file

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/penstock/penstock/proxy/write"
)

// change is one operation within a shared transaction. If do refuses the change, it must do so
// before it writes anything, because the other changes of the transaction remain.
type change struct {
	do   func(tx *txn) error
	then func() // called after the sync with the lock held; may be nil
	err  error
	done chan struct{}
}

// refusal is an error that concerns a single change.
type refusal struct{ error }

// Unwrap returns the reason.
func (r refusal) Unwrap() error { return r.error }

// change runs do within a transaction, and returns when the transaction is on disk.
func (s *Store) change(ctx context.Context, do func(tx *txn) error, then func()) error {
	c := &change{do: do, then: then, done: make(chan struct{})}
	select {
	case s.changes <- c:
	case <-s.stop:
		return write.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	<-c.done // the change will be made in any case
	return c.err
}

// commit makes changes until Close. Changes that arrive during a sync share the next transaction.
func (s *Store) commit() {
	for {
		select {
		case c := <-s.changes:
			s.commitAll(s.collect(c))
		case <-s.stop:
			return
		}
	}
}

// collect returns first and the other waiting changes.
func (s *Store) collect(first *change) []*change {
	all := []*change{first}
	for len(all) < batch {
		select {
		case c := <-s.changes:
			all = append(all, c)
		default:
			return all
		}
	}
	return all
}

func (s *Store) commitAll(all []*change) {
	s.adding.writes, s.adding.bytes = 0, 0
	err := s.update(func(tx *txn) error {
		for _, c := range all {
			c.err = c.do(tx)
			if r, ok := c.err.(refusal); ok {
				c.err, c.then = r.error, nil
			} else if c.err != nil {
				return c.err
			}
		}
		return nil
	})
	s.noteFailure(err)
	s.mu.Lock()
	for _, c := range all {
		switch {
		case err != nil:
			c.err = fmt.Errorf("changing the queue of writes: %w", err)
		case c.then != nil:
			c.then()
		}
	}
	s.mu.Unlock()
	for _, c := range all {
		close(c.done)
	}
}

// noteFailure records whether changes can be written, for Problem. The sweep finds out when they
// can be written again.
func (s *Store) noteFailure(err error) {
	if err == nil {
		if s.failed.Swap(nil) != nil {
			s.log.Info("the file of queued writes is writable again", "file", s.path)
		}
		return
	}
	err = withRemedy(s.path, err)
	if s.failed.Swap(&err) == nil {
		s.log.Error("writes are refused with status 503: the file of queued writes can't be written", "error", err)
	}
}

// Problem returns the reason for which writes can't be accepted now, or nil.
func (s *Store) Problem() error {
	if err := s.Broken(); err != nil {
		return err
	}
	if failed := s.failed.Load(); failed != nil {
		return *failed
	}
	return nil
}

// Add stores w.
func (s *Store) Add(ctx context.Context, w *write.Write) (id string, err error) {
	var place uint64
	id = w.ID
	err = s.change(ctx, func(tx *txn) error {
		if !w.Key.IsZero() {
			if before := tx.Bucket(bucketKeys).Get(w.Key[:]); before != nil {
				earlier, print, err := keyOf(w.Key[:], before)
				switch {
				case err != nil:
					return refusal{err}
				case string(print) != string(w.Print[:]):
					return refusal{write.ErrConflict}
				}
				id = earlier
				return nil
			}
		}
		if !s.takes(w.Size()) {
			return refusal{write.ErrFull}
		}
		place, err = tx.add(w, write.State{Phase: write.Queued, Updated: w.Accepted})
		return err
	}, func() {
		if id == w.ID {
			s.queued(w, place, false)
		}
	})
	if err != nil {
		return "", err
	}
	return id, nil
}

// takes reports whether there is room for one more write of that size in addition to the current
// transaction, and counts it. Only commit's goroutine calls it.
func (s *Store) takes(size int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending)+s.adding.writes >= s.bounds.Max || s.bytes+s.adding.bytes+size > s.bounds.Bytes {
		return false
	}
	s.adding.writes++
	s.adding.bytes += size
	return true
}

// Put records the result of a write.
func (s *Store) Put(ctx context.Context, e write.Entry, r *write.Record) error {
	dropped := 0
	return s.change(ctx, func(tx *txn) error {
		if err := tx.putState(r.ID, placeOf(e), r.State); err != nil || !r.Ended() {
			return err
		}
		if err := tx.Bucket(bucketOrder).Delete([]byte(e.Place)); err != nil {
			return err
		}
		if r.Phase == write.Dead && r.Policy.DeadLetter {
			var err error
			dropped, err = s.addLetter(tx, r)
			return err
		}
		return tx.end(r.Write, r.Phase, r.Updated)
	}, func() {
		if !r.Ended() {
			return
		}
		s.unqueued(r.ID)
		if r.Phase == write.Dead && r.Policy.DeadLetter {
			s.dead += 1 - dropped
		}
	})
}

// addLetter stores a dead letter. If there are too many, it ends the oldest ones and returns their
// number.
func (s *Store) addLetter(tx *txn, r *write.Record) (dropped int, err error) {
	dead := tx.Bucket(bucketDead)
	if err := dead.Put(timed(r.Updated, r.ID), sealDead(r.Updated, r.ID)); err != nil {
		return 0, err
	}
	s.mu.Lock()
	over := s.dead + 1 - s.bounds.Dead
	s.mu.Unlock()
	for ; over > 0; over-- {
		k, _ := dead.Cursor().First()
		if k == nil {
			break
		}
		if err := s.endLetter(tx, append([]byte(nil), k...)); err != nil {
			return dropped, err
		}
		dropped++
	}
	return dropped, nil
}

// endLetter turns a dead letter into an ended write. If the letter is damaged, it is set aside.
func (s *Store) endLetter(tx *txn, k []byte) error {
	r, err := tx.find(string(k[min(8, len(k)):]))
	if err != nil {
		return tx.setLetterAside(k)
	}
	if err := tx.Bucket(bucketDead).Delete(k); err != nil {
		return err
	}
	return tx.end(r.Write, r.Phase, s.now())
}

// Replay puts a dead letter at the end of its lane.
func (s *Store) Replay(ctx context.Context, id string) error {
	var (
		r     *write.Record
		place uint64
	)
	return s.change(ctx, func(tx *txn) (err error) {
		if r, err = letter(tx, id); err != nil {
			return err
		}
		if !s.takes(r.Size()) {
			return refusal{write.ErrFull}
		}
		if err := tx.Bucket(bucketDead).Delete(timed(r.Updated, id)); err != nil {
			return err
		}
		place, err = tx.queue(id, write.State{Phase: write.Queued, Updated: s.now()})
		return err
	}, func() {
		s.dead--
		s.queued(r.Write, place, true)
	})
}

// Drop removes a dead letter.
func (s *Store) Drop(ctx context.Context, id string) error {
	return s.change(ctx, func(tx *txn) error {
		r, err := letter(tx, id)
		if err != nil {
			return err
		}
		if err := tx.putState(id, 0, r.State.Drop(s.now())); err != nil {
			return err
		}
		return s.endLetter(tx, timed(r.Updated, id))
	}, func() { s.dead-- })
}

// letter returns the dead letter with the given ID.
func letter(tx *txn, id string) (*write.Record, error) {
	r, err := tx.find(id)
	if err == nil && tx.Bucket(bucketDead).Get(timed(r.Updated, id)) == nil {
		err = write.ErrUnknown
	}
	if err != nil {
		return nil, refusal{err}
	}
	return r, nil
}

// sweep removes expired states and letters until Close.
func (s *Store) sweep() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = s.forget(s.now()) // the next tick tries again
		case <-s.stop:
			return
		}
	}
}

// forget removes the states and letters that have expired.
func (s *Store) forget(now time.Time) error {
	dropped := 0
	return s.change(context.Background(), func(tx *txn) error {
		for _, k := range before(tx.Bucket(bucketDead), now.Add(-s.bounds.DeadAge)) {
			if err := s.endLetter(tx, k); err != nil {
				return err
			}
			dropped++
		}
		for _, k := range before(tx.Bucket(bucketEnded), now) {
			if err := tx.erase(k); err != nil {
				return err
			}
		}
		return nil
	}, func() { s.dead -= dropped })
}

// before returns the first keys that are earlier than a time.
func before(b *bolt.Bucket, at time.Time) (keys [][]byte) {
	c := b.Cursor()
	for k, _ := c.First(); k != nil && len(keys) < sweepMost && binary.BigEndian.Uint64(k) < uint64(max(0, at.UnixNano())); k, _ = c.Next() {
		keys = append(keys, append([]byte(nil), k...))
	}
	return keys
}
