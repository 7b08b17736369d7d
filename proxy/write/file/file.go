// Package file keeps queued writes in a file of one instance: an embedded B+ tree, which is synced
// to disk before a write is acknowledged. Changes that arrive during a sync share the next one.
package file

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/penstock/penstock/proxy/write"
)

// The buckets of the file. Places and times are big-endian, so that they sort.
var (
	bucketWrites = []byte("writes") // ID → write
	bucketStates = []byte("states") // ID → state, in JSON
	bucketOrder  = []byte("order")  // place → ID of a pending write
	bucketKeys   = []byte("keys")   // digest of the Idempotency-Key → ID and digest of the payload
	bucketDead   = []byte("dead")   // time and ID of a dead letter → nothing
	bucketEnded  = []byte("ended")  // expiry and ID of an ended write → nothing
	bucketAside  = []byte("aside")  // bucket and ID of a damaged record → the record
)

var (
	// firstBuckets are the buckets of the first version.
	firstBuckets = [][]byte{bucketWrites, bucketStates, bucketOrder, bucketKeys, bucketDead, bucketEnded}
	allBuckets   = append(slices.Clone(firstBuckets), bucketAside)
)

// present is the value of a key that has no content.
var present = []byte{1}

const (
	batch      = 512 // maximum number of changes in one transaction
	sweepEvery = 10 * time.Second
	sweepMost  = 1000
)

// Store is a write.Store in a file.
type Store struct {
	db     *bolt.DB
	file   *os.File // the file that db has open
	path   string
	bounds write.Bounds
	now    func() time.Time
	log    *slog.Logger
	lost   atomic.Int64          // acknowledged writes that can't be applied
	broken atomic.Pointer[error] // the reason for which the file is unusable; nil: it is usable
	failed atomic.Pointer[error] // the error of the last change; nil: it was written

	held    *write.Held
	changes chan *change
	stop    chan struct{}
	running sync.WaitGroup
	closing sync.Once
	closed  error

	adding struct { // sums of the current transaction
		writes int
		bytes  int64
	}

	mu      sync.Mutex
	pending map[string]*pending // by ID
	seen    map[string][]string // IDs by read name, the newest last
	bytes   int64
	dead    int
	fresh   []write.Entry // entries that Next has not returned yet
	more    chan struct{} // holds a token if fresh is not empty
}

// pending holds the properties of a pending write.
type pending struct {
	place    uint64
	size     int64
	accepted time.Time
	seen     string
}

var _ write.Store = (*Store)(nil)

// Close closes the store. The stored writes remain.
func (s *Store) Close() error {
	s.closing.Do(func() {
		close(s.stop)
		s.running.Wait()
		if s.broken.Load() != nil { // the library would wait for ever for the abandoned transaction
			s.closed = errors.Join(unlock(s.file), s.file.Close())
			return
		}
		s.closed = s.db.Close()
	})
	return s.closed
}

// load reads the writes that are pending from an earlier process.
func (s *Store) load() error {
	return s.update(func(tx *txn) error {
		for _, name := range allBuckets {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		s.dead = tx.Bucket(bucketDead).Stats().KeyN
		return tx.Bucket(bucketOrder).ForEach(func(place, value []byte) error {
			id, err := orderOf(place, value)
			if err != nil {
				return err
			}
			w, _, _, err := writeOf([]byte(id), tx.Bucket(bucketWrites).Get([]byte(id)))
			if err != nil {
				return fmt.Errorf("write %s: %w", id, err)
			}
			s.queued(w, binary.BigEndian.Uint64(place), true)
			return nil
		})
	})
}

// queued adds a pending write. The caller holds the lock, or is the only user of s.
func (s *Store) queued(w *write.Write, place uint64, again bool) {
	p := &pending{place: place, size: w.Size(), accepted: w.Accepted, seen: w.Seen}
	s.pending[w.ID] = p
	s.bytes += p.size
	if p.seen != "" {
		s.seen[p.seen] = append(s.seen[p.seen], w.ID)
		s.held.Hold(p.seen)
	}
	s.fresh = append(s.fresh, write.Entry{ID: w.ID, Lane: w.Lane(), Place: string(key(place)), Again: again})
	select {
	case s.more <- struct{}{}:
	default:
	}
}

// unqueued removes a write that is no longer pending. The caller holds the lock.
func (s *Store) unqueued(id string) {
	p := s.pending[id]
	if p == nil {
		return
	}
	delete(s.pending, id)
	s.bytes -= p.size
	if p.seen == "" {
		return
	}
	s.held.Release(p.seen)
	var left []string
	for _, other := range s.seen[p.seen] {
		if other != id {
			left = append(left, other)
		}
	}
	if s.seen[p.seen] = left; len(left) == 0 {
		delete(s.seen, p.seen)
	}
}

// Find returns a write and its state.
func (s *Store) Find(_ context.Context, id string) (r *write.Record, err error) {
	err = s.view(func(tx *txn) error { r, err = tx.find(id); return err })
	return r, err
}

// Held returns the names with queued writes. It knows them all, because only this process uses
// the file.
func (s *Store) Held() *write.Held { return s.held }

// Newest returns the last write that is queued for the read name seen.
func (s *Store) Newest(ctx context.Context, seen string) (*write.Write, error) {
	s.mu.Lock()
	ids := s.seen[seen]
	s.mu.Unlock()
	if len(ids) == 0 {
		return nil, write.ErrUnknown
	}
	r, err := s.Find(ctx, ids[len(ids)-1])
	if err != nil {
		return nil, err
	}
	if r.Ended() {
		return nil, write.ErrUnknown // it has ended meanwhile
	}
	return r.Write, nil
}

// Letters returns the dead letters. It sets damaged ones aside, so that they do not block the
// others.
func (s *Store) Letters(ctx context.Context, most int) (letters []*write.Record, err error) {
	var damaged []string
	err = s.view(func(tx *txn) error {
		c := tx.Bucket(bucketDead).Cursor()
		for k, _ := c.First(); k != nil && len(letters) < most; k, _ = c.Next() {
			r, err := tx.find(string(k[min(8, len(k)):]))
			if err != nil {
				damaged = append(damaged, string(k))
				continue
			}
			letters = append(letters, r)
		}
		return nil
	})
	for _, k := range damaged {
		if err := s.setLetterAside(ctx, k); err != nil {
			s.log.Error("setting a damaged dead letter aside failed", "file", s.path, "error", err)
		}
	}
	return letters, err
}

// Stats returns the figures of the queue.
func (s *Store) Stats(context.Context) (write.Stats, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := write.Stats{Pending: len(s.pending), Bytes: s.bytes, Dead: s.dead, Lost: s.lost.Load()}
	for _, p := range s.pending {
		stats.Oldest = max(stats.Oldest, s.now().Sub(p.accepted))
	}
	return stats, nil
}

// key returns a number in the form that sorts.
func key(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// timed returns a time and an ID in the form that sorts.
func timed(at time.Time, id string) []byte { return append(key(uint64(max(0, at.UnixNano()))), id...) }
