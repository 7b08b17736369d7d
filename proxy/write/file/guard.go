package file

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/penstock/penstock/proxy/write"
)

// reasonDamaged is the reason in the state of a lost write with unreadable records.
const reasonDamaged = "its record in the queue's file is damaged"

// fault is the value of a panic: of the library, or of an access to a page that is missing.
type fault struct{ with any }

// Error implements error.
func (f *fault) Error() string { return fmt.Sprintf("the file is damaged: %v", f.with) }

// Unwrap returns write.ErrDamaged.
func (f *fault) Unwrap() error { return write.ErrDamaged }

// guarded calls f and turns panics into errors: those of the library about damaged pages, and
// memory faults if the mapped file has become shorter.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if with := recover(); with != nil {
			err = &fault{with}
		}
	}()
	return f()
}

// view runs f in a transaction that only reads.
func (s *Store) view(f func(tx *txn) error) error {
	if broken := s.broken.Load(); broken != nil {
		return *broken
	}
	err := guarded(func() error {
		return s.db.View(func(tx *bolt.Tx) error { return f(s.txn(tx)) })
	})
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return write.ErrClosed
	}
	s.breakBy(err)
	return err
}

// update runs f in a transaction that writes. If f meets a fault, the transaction is never ended:
// the library would read the damaged pages again, in a goroutine whose panics can't be recovered.
func (s *Store) update(f func(tx *txn) error) error {
	if broken := s.broken.Load(); broken != nil {
		return *broken
	}
	err := guarded(func() error {
		tx, err := s.db.Begin(true)
		if err != nil {
			return err
		}
		records := s.txn(tx)
		records.begin()
		if err := f(records); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		return tx.Commit()
	})
	s.breakBy(err)
	return err
}

// breakBy marks the file as unusable if err is a fault.
func (s *Store) breakBy(err error) {
	var f *fault
	if !errors.As(err, &f) {
		return
	}
	wrapped := fmt.Errorf("the queue of writes %s: %w; restart the gateway, which then salvages the sound records", s.path, err)
	if s.broken.CompareAndSwap(nil, &wrapped) {
		s.log.Error("the file of queued writes is damaged: no writes are accepted or applied until the gateway is restarted, which salvages the sound records", "file", s.path, "error", f.with)
	}
}

// Broken returns the reason for which the file is unusable, or nil.
func (s *Store) Broken() error {
	if broken := s.broken.Load(); broken != nil {
		return *broken
	}
	return nil
}

// Lose records the write of an entry as lost, and keeps its records aside.
func (s *Store) Lose(ctx context.Context, e write.Entry) error {
	lost := int64(1)
	return s.change(ctx, func(tx *txn) error {
		if r, err := tx.find(e.ID); err == nil && r.Ended() {
			lost = 0
		} else if err := tx.setAside(e.ID); err != nil {
			return err
		}
		return tx.Bucket(bucketOrder).Delete([]byte(e.Place))
	}, func() {
		s.lost.Add(lost)
		s.unqueued(e.ID)
	})
}

// setLetterAside removes a damaged dead letter from the list, so that it does not block the others.
func (s *Store) setLetterAside(ctx context.Context, k string) error {
	return s.change(ctx, func(tx *txn) error {
		if tx.Bucket(bucketDead).Get([]byte(k)) == nil {
			return nil
		}
		return tx.setLetterAside([]byte(k))
	}, func() {
		s.log.Error("a damaged dead letter was set aside", "file", s.path, "id", k[min(8, len(k)):])
		s.lost.Add(1)
		s.dead = max(0, s.dead-1)
	})
}
