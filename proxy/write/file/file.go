// Package file keeps queued writes in a file of one instance: an embedded B+ tree, synced to the disk before anything is acknowledged. What comes while
// a sync is under way shares the next one.
package file

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/penstock/penstock/proxy/write"
)

// The buckets. Places and times are big-endian, so that they sort.
var (
	bucketWrites = []byte("writes") // ID → write
	bucketStates = []byte("states") // ID → state, in JSON
	bucketOrder  = []byte("order")  // place → ID of a write to be applied
	bucketKeys   = []byte("keys")   // digest of the Idempotency-Key → ID and digest of the payload
	bucketDead   = []byte("dead")   // time and ID of a dead letter → nothing
	bucketEnded  = []byte("ended")  // time and ID of a state that is only kept for those who ask → nothing
)

// present is the value of a key that says all by being there.
var present = []byte{1}

const (
	// lockTime is how long the file may be another process's, that is about to end.
	lockTime   = 5 * time.Second
	batch      = 512 // changes in one transaction
	sweepEvery = 10 * time.Second
	sweepMost  = 1000
)

// Store is a write.Store in a file.
type Store struct {
	db     *bolt.DB
	bounds write.Bounds
	now    func() time.Time

	changes chan *change
	stop    chan struct{}
	running sync.WaitGroup
	closing sync.Once
	closed  error

	adding struct { // by the transaction that is being made
		writes int
		bytes  int64
	}

	mu      sync.Mutex
	pending map[string]*pending // by ID
	seen    map[string][]string // IDs by what reads call it, the newest last
	bytes   int64
	dead    int
	fresh   []write.Entry // that no worker has got yet
	more    chan struct{} // holds one when there is something in fresh
}

// pending is what is known of a write that is to be applied.
type pending struct {
	place    uint64
	size     int64
	accepted time.Time
	seen     string
}

var _ write.Store = (*Store)(nil)

// Open opens the file, and makes it where it is not there. Another process may not have it open.
func Open(path string, b write.Bounds, now func() time.Time) (*Store, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: lockTime, FreelistType: bolt.FreelistMapType, NoFreelistSync: true})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("opening the queue of writes %s: another process has it open", path)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the queue of writes %s: %w", path, err)
	}
	s := &Store{
		db: db, bounds: b, now: now, changes: make(chan *change), stop: make(chan struct{}), more: make(chan struct{}, 1),
		pending: make(map[string]*pending), seen: make(map[string][]string),
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("reading the queue of writes %s: %w", path, err), db.Close())
	}
	s.running.Go(s.commit)
	s.running.Go(s.sweep)
	return s, nil
}

// Close ends the store. What is stored stays.
func (s *Store) Close() error {
	s.closing.Do(func() {
		close(s.stop)
		s.running.Wait()
		s.closed = s.db.Close()
	})
	return s.closed
}

// load finds what is to be applied since the last time.
func (s *Store) load() error {
	return s.db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{bucketWrites, bucketStates, bucketOrder, bucketKeys, bucketDead, bucketEnded} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		s.dead = tx.Bucket(bucketDead).Stats().KeyN
		return tx.Bucket(bucketOrder).ForEach(func(place, id []byte) error {
			w, err := write.Decode(tx.Bucket(bucketWrites).Get(id))
			if err != nil {
				return fmt.Errorf("write %s: %w", id, err)
			}
			s.queued(w, binary.BigEndian.Uint64(place), true)
			return nil
		})
	})
}

// queued notes a write that is to be applied. The lock is held, or nobody else has s yet.
func (s *Store) queued(w *write.Write, place uint64, again bool) {
	p := &pending{place: place, size: w.Size(), accepted: w.Accepted, seen: w.Seen}
	s.pending[w.ID] = p
	s.bytes += p.size
	if p.seen != "" {
		s.seen[p.seen] = append(s.seen[p.seen], w.ID)
	}
	s.fresh = append(s.fresh, write.Entry{ID: w.ID, Lane: w.Lane(), Place: string(key(place)), Again: again})
	select {
	case s.more <- struct{}{}:
	default:
	}
}

// unqueued forgets a write that is not to be applied any more. The lock is held.
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

// Find gives a write and its state.
func (s *Store) Find(_ context.Context, id string) (r *write.Record, err error) {
	err = s.db.View(func(tx *bolt.Tx) error { r, err = find(tx, id); return err })
	return r, closedError(err)
}

func find(tx *bolt.Tx, id string) (*write.Record, error) {
	encoded, state := tx.Bucket(bucketWrites).Get([]byte(id)), tx.Bucket(bucketStates).Get([]byte(id))
	if encoded == nil || state == nil {
		return nil, write.ErrUnknown
	}
	w, err := write.Decode(encoded)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", id, err)
	}
	r := &write.Record{Write: w}
	if err := json.Unmarshal(state, &r.State); err != nil {
		return nil, fmt.Errorf("the state of write %s: %w", id, err)
	}
	return r, nil
}

// Newest is the last write that is queued for what reads call seen.
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
		return nil, write.ErrUnknown // meanwhile
	}
	return r.Write, nil
}

// Letters are the dead letters.
func (s *Store) Letters(_ context.Context, most int) (letters []*write.Record, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketDead).Cursor()
		for k, _ := c.First(); k != nil && len(letters) < most; k, _ = c.Next() {
			r, err := find(tx, string(k[8:]))
			if err != nil {
				return err
			}
			letters = append(letters, r)
		}
		return nil
	})
	return letters, closedError(err)
}

// Stats are the figures of the queue.
func (s *Store) Stats(context.Context) (write.Stats, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := write.Stats{Pending: len(s.pending), Bytes: s.bytes, Dead: s.dead}
	for _, p := range s.pending {
		stats.Oldest = max(stats.Oldest, s.now().Sub(p.accepted))
	}
	return stats, nil
}

// key is a number as it sorts.
func key(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// timed is a time and an ID as they sort.
func timed(at time.Time, id string) []byte { return append(key(uint64(max(0, at.UnixNano()))), id...) }

func closedError(err error) error {
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return write.ErrClosed
	}
	return err
}
