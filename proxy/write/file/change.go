package file

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/penstock/penstock/proxy/write"
)

// change is something to be done within a transaction. What do refuses it must refuse before it has written anything: the others in the transaction
// stay.
type change struct {
	do   func(tx *bolt.Tx) error
	then func() // once it is on the disk, with the lock held; nil: nothing
	err  error
	done chan struct{}
}

// refusal is an error of one change alone.
type refusal struct{ error }

// Unwrap gives the reason.
func (r refusal) Unwrap() error { return r.error }

// change has c done, and returns when it is on the disk.
func (s *Store) change(ctx context.Context, do func(tx *bolt.Tx) error, then func()) error {
	c := &change{do: do, then: then, done: make(chan struct{})}
	select {
	case s.changes <- c:
	case <-s.stop:
		return write.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	<-c.done // it is about to be done, come what may
	return c.err
}

// commit does changes until Close: those that have come while others were being synced, in one transaction.
func (s *Store) commit() {
	for {
		select {
		case c := <-s.changes:
			s.commitAll(s.gather(c))
		case <-s.stop:
			return
		}
	}
}

// gather takes what waits beside the first.
func (s *Store) gather(first *change) []*change {
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
	err := s.db.Update(func(tx *bolt.Tx) error {
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

// Add stores w.
func (s *Store) Add(ctx context.Context, w *write.Write) (id string, err error) {
	encoded, err := w.Encode()
	if err != nil {
		return "", err
	}
	state, err := json.Marshal(write.State{Phase: write.Queued, Updated: w.Accepted})
	if err != nil {
		return "", err
	}
	var place uint64
	id = w.ID
	err = s.change(ctx, func(tx *bolt.Tx) error {
		if !w.Key.IsZero() {
			if before := tx.Bucket(bucketKeys).Get(w.Key[:]); before != nil {
				earlier, payload := string(before[:len(before)-len(w.Print)]), before[len(before)-len(w.Print):]
				if string(payload) != string(w.Print[:]) {
					return refusal{write.ErrConflict}
				}
				id = earlier
				return nil
			}
		}
		order := tx.Bucket(bucketOrder)
		if !s.takes(w.Size()) {
			return refusal{write.ErrFull}
		}
		if place, err = order.NextSequence(); err != nil {
			return err
		}
		if !w.Key.IsZero() {
			if err := tx.Bucket(bucketKeys).Put(w.Key[:], append([]byte(w.ID), w.Print[:]...)); err != nil {
				return err
			}
		}
		if err := order.Put(key(place), []byte(w.ID)); err != nil {
			return err
		}
		if err := tx.Bucket(bucketStates).Put([]byte(w.ID), state); err != nil {
			return err
		}
		return tx.Bucket(bucketWrites).Put([]byte(w.ID), encoded)
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

// takes reports whether there is room for one more write of that size, beside what else is in the transaction, and counts it. Only commit's goroutine
// calls it.
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

// Put notes what has become of a write.
func (s *Store) Put(ctx context.Context, e write.Entry, r *write.Record) error {
	state, err := json.Marshal(r.State)
	if err != nil {
		return err
	}
	dropped := 0
	return s.change(ctx, func(tx *bolt.Tx) error {
		if err := tx.Bucket(bucketStates).Put([]byte(r.ID), state); err != nil || !r.Ended() {
			return err
		}
		if err := tx.Bucket(bucketOrder).Delete([]byte(e.Place)); err != nil {
			return err
		}
		if r.Phase == write.Dead && r.Policy.DeadLetter {
			dropped, err = s.bury(tx, r)
			return err
		}
		return s.end(tx, r.Write, r.Updated)
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

// bury keeps a dead letter, and ends the oldest where there are too many.
func (s *Store) bury(tx *bolt.Tx, r *write.Record) (dropped int, err error) {
	dead := tx.Bucket(bucketDead)
	if err := dead.Put(timed(r.Updated, r.ID), present); err != nil {
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
		if err := s.exhume(tx, append([]byte(nil), k...)); err != nil {
			return dropped, err
		}
		dropped++
	}
	return dropped, nil
}

// exhume turns a dead letter into a state that is only kept for those who ask.
func (s *Store) exhume(tx *bolt.Tx, k []byte) error {
	if err := tx.Bucket(bucketDead).Delete(k); err != nil {
		return err
	}
	r, err := find(tx, string(k[8:]))
	if err != nil {
		return err
	}
	return s.end(tx, r.Write, s.now())
}

// end keeps only the outline of a write, for a while.
func (s *Store) end(tx *bolt.Tx, w *write.Write, at time.Time) error {
	outline, err := w.Outline().Encode()
	if err != nil {
		return err
	}
	if err := tx.Bucket(bucketWrites).Put([]byte(w.ID), outline); err != nil {
		return err
	}
	return tx.Bucket(bucketEnded).Put(timed(at.Add(s.bounds.Keep), w.ID), present)
}

// Remove takes out an entry of which there is no write.
func (s *Store) Remove(ctx context.Context, e write.Entry) error {
	return s.change(ctx, func(tx *bolt.Tx) error { return tx.Bucket(bucketOrder).Delete([]byte(e.Place)) }, func() { s.unqueued(e.ID) })
}

// Replay puts a dead letter at the end of its lane.
func (s *Store) Replay(ctx context.Context, id string) error {
	var (
		r     *write.Record
		place uint64
	)
	return s.change(ctx, func(tx *bolt.Tx) (err error) {
		if r, err = letter(tx, id); err != nil {
			return err
		}
		order := tx.Bucket(bucketOrder)
		if !s.takes(r.Size()) {
			return refusal{write.ErrFull}
		}
		state, err := json.Marshal(write.State{Phase: write.Queued, Updated: s.now()})
		if err != nil {
			return err
		}
		if err := tx.Bucket(bucketDead).Delete(timed(r.Updated, id)); err != nil {
			return err
		}
		if err := tx.Bucket(bucketStates).Put([]byte(id), state); err != nil {
			return err
		}
		if place, err = order.NextSequence(); err != nil {
			return err
		}
		return order.Put(key(place), []byte(id))
	}, func() {
		s.dead--
		s.queued(r.Write, place, true)
	})
}

// Drop removes a dead letter.
func (s *Store) Drop(ctx context.Context, id string) error {
	return s.change(ctx, func(tx *bolt.Tx) error {
		r, err := letter(tx, id)
		if err != nil {
			return err
		}
		return s.exhume(tx, timed(r.Updated, id))
	}, func() { s.dead-- })
}

// letter is the dead letter with that ID.
func letter(tx *bolt.Tx, id string) (*write.Record, error) {
	r, err := find(tx, id)
	if err == nil && tx.Bucket(bucketDead).Get(timed(r.Updated, id)) == nil {
		err = write.ErrUnknown
	}
	if err != nil {
		return nil, refusal{err}
	}
	return r, nil
}

// sweep forgets what is past its time, until Close.
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

// forget does away with states and letters that nobody is to ask for any more.
func (s *Store) forget(now time.Time) error {
	dropped := 0
	return s.change(context.Background(), func(tx *bolt.Tx) error {
		for _, k := range before(tx.Bucket(bucketDead), now.Add(-s.bounds.DeadAge)) {
			if err := s.exhume(tx, k); err != nil {
				return err
			}
			dropped++
		}
		for _, k := range before(tx.Bucket(bucketEnded), now) {
			if err := erase(tx, k); err != nil {
				return err
			}
		}
		return nil
	}, func() { s.dead -= dropped })
}

// erase does away with a state and its Idempotency-Key.
func erase(tx *bolt.Tx, k []byte) error {
	id := k[8:]
	if w, err := write.Decode(tx.Bucket(bucketWrites).Get(id)); err == nil && !w.Key.IsZero() {
		if err := tx.Bucket(bucketKeys).Delete(w.Key[:]); err != nil {
			return err
		}
	}
	for _, name := range [][]byte{bucketWrites, bucketStates} {
		if err := tx.Bucket(name).Delete(id); err != nil {
			return err
		}
	}
	return tx.Bucket(bucketEnded).Delete(k)
}

// before are the first keys that are earlier than a time.
func before(b *bolt.Bucket, at time.Time) (keys [][]byte) {
	c := b.Cursor()
	for k, _ := c.First(); k != nil && len(keys) < sweepMost && binary.BigEndian.Uint64(k) < uint64(max(0, at.UnixNano())); k, _ = c.Next() {
		keys = append(keys, append([]byte(nil), k...))
	}
	return keys
}
