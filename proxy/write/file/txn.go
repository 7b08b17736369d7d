package file

import (
	"encoding/binary"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/penstock/penstock/proxy/write"
)

// txn is a transaction with methods for records.
type txn struct {
	*bolt.Tx
	keep   time.Duration // how long the outline of an ended write is kept
	now    func() time.Time
	lowest uint64 // no write below this place is pending
}

func (s *Store) txn(tx *bolt.Tx) *txn {
	return &txn{Tx: tx, keep: s.bounds.Keep, now: s.now}
}

// begin reads the value of lowest, which all states of the transaction contain.
func (tx *txn) begin() {
	b := tx.Bucket(bucketOrder)
	if b == nil {
		return
	}
	if first, _ := b.Cursor().First(); len(first) == 8 {
		tx.lowest = binary.BigEndian.Uint64(first)
		return
	}
	tx.lowest = b.Sequence() + 1
}

// add stores a write at the end of the order.
func (tx *txn) add(w *write.Write, state write.State) (place uint64, err error) {
	if place, err = tx.queue(w.ID, state); err != nil {
		return 0, err
	}
	return place, tx.putWrite(kindWrite, w, place)
}

// queue puts a write at the end of the order.
func (tx *txn) queue(id string, state write.State) (place uint64, err error) {
	order := tx.Bucket(bucketOrder)
	if place, err = order.NextSequence(); err != nil {
		return 0, err
	}
	if err := order.Put(key(place), seal(kindOrder, key(place), []byte(id))); err != nil {
		return 0, err
	}
	return place, tx.putState(id, place, state)
}

// putWrite stores a write or its outline, and its Idempotency-Key.
func (tx *txn) putWrite(k kind, w *write.Write, place uint64) error {
	encoded, err := w.Encode()
	if err != nil {
		return err
	}
	if !w.Key.IsZero() {
		if err := tx.Bucket(bucketKeys).Put(w.Key[:], seal(kindKey, w.Key[:], w.Print[:], []byte(w.ID))); err != nil {
			return err
		}
	}
	return tx.Bucket(bucketWrites).Put([]byte(w.ID), seal(k, key(place), encoded))
}

// putState stores a state. If place is 0, the stored place is kept.
func (tx *txn) putState(id string, place uint64, state write.State) error {
	states := tx.Bucket(bucketStates)
	if before := states.Get([]byte(id)); place == 0 && before != nil {
		if r, err := stateOf([]byte(id), before); err == nil {
			place = r.place
		}
	}
	value, err := sealState(&stateRecord{id: id, revision: uint64(tx.ID()), place: place, lowest: tx.lowest, state: state})
	if err != nil {
		return err
	}
	return states.Put([]byte(id), value)
}

// end replaces a write by its outline, which is kept for a while.
func (tx *txn) end(w *write.Write, phase write.Phase, at time.Time) error {
	return tx.keepOutline(w, phase, at.Add(tx.keep))
}

func (tx *txn) keepOutline(w *write.Write, phase write.Phase, until time.Time) error {
	if err := tx.putWrite(kindOutline, w.Outline(), 0); err != nil {
		return err
	}
	return tx.Bucket(bucketEnded).Put(timed(until, w.ID), sealEnded(until, w.ID, phase))
}

// find returns a write and its state.
func (tx *txn) find(id string) (*write.Record, error) {
	encoded, state := tx.Bucket(bucketWrites).Get([]byte(id)), tx.Bucket(bucketStates).Get([]byte(id))
	if encoded == nil || state == nil {
		return nil, write.ErrUnknown
	}
	w, _, _, err := writeOf([]byte(id), encoded)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", id, err)
	}
	s, err := stateOf([]byte(id), state)
	if err != nil {
		return nil, fmt.Errorf("the state of write %s: %w", id, err)
	}
	return &write.Record{Write: w, State: s.state}, nil
}

// erase deletes an ended write with its state and its Idempotency-Key.
func (tx *txn) erase(k []byte) error {
	id := k[min(8, len(k)):]
	if w, _, _, err := writeOf(id, tx.Bucket(bucketWrites).Get(id)); err == nil && !w.Key.IsZero() {
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

// setAside copies the unreadable records of a write to a bucket of their own, and records the write
// as lost.
func (tx *txn) setAside(id string) error {
	for _, name := range [][]byte{bucketWrites, bucketStates} {
		if value := tx.Bucket(name).Get([]byte(id)); value != nil {
			if err := tx.Bucket(bucketAside).Put(append(append(name[:len(name):len(name)], ' '), id...), append([]byte(nil), value...)); err != nil {
				return err
			}
		}
	}
	return tx.lose(id, reasonDamaged)
}

// lose records an acknowledged write as lost.
func (tx *txn) lose(id, reason string) error {
	now := tx.now()
	w := &write.Write{ID: id}
	if known, _, _, err := writeOf([]byte(id), tx.Bucket(bucketWrites).Get([]byte(id))); err == nil {
		w = known
	}
	if err := tx.putState(id, 0, write.State{Phase: write.Lost, Reason: reason, Updated: now}); err != nil {
		return err
	}
	return tx.end(w, write.Lost, now)
}

// setLetterAside sets the records of an unreadable dead letter aside and removes it from the
// letters.
func (tx *txn) setLetterAside(k []byte) error {
	if err := tx.setAside(string(k[min(8, len(k)):])); err != nil {
		return err
	}
	return tx.Bucket(bucketDead).Delete(k)
}

// placeOf returns the place of an entry.
func placeOf(e write.Entry) uint64 {
	if len(e.Place) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64([]byte(e.Place))
}
