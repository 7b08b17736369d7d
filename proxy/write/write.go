package write

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/http"
	"time"
)

// Results of a Store.
var (
	ErrFull     = errors.New("write: the queue is full")
	ErrConflict = errors.New("write: this Idempotency-Key was already used with another request")
	ErrUnknown  = errors.New("write: unknown write")
	ErrLost     = errors.New("write: another instance holds this part now")
	ErrUnsafe   = errors.New("write: the store may evict queued writes")
	ErrClosed   = errors.New("write: the queue is closed")
	ErrDamaged  = errors.New("write: the stored form is damaged")
)

// Write is a queued request.
type Write struct {
	ID       string
	Route    string
	Method   string
	Scheme   string
	Host     string // canonical
	Path     string // escaped, canonical
	Query    string
	Header   http.Header // the fields that are sent upstream
	Body     []byte
	Accepted time.Time
	Policy   Policy
	Key      Digest // of the client's Idempotency-Key and its scope; zero if there is no key
	Print    Digest // of the payload
	// Order is the value that orders the write instead of its path, or "".
	Order string
	// Seen is the name under which reads find the write, or "" if they do not see it before it is
	// applied.
	Seen string
	// Who is the digest of the request's credentials; zero if it had no credentials.
	Who Digest
}

// Lane returns the name of the write's lane: a host, and a path or the value of Order. A path
// contains no space, so the two can't collide.
func (w *Write) Lane() string {
	if w.Order != "" {
		return w.Host + " " + w.Order
	}
	return w.Host + w.Path
}

// Size returns the approximate number of bytes that w takes in a store.
func (w *Write) Size() int64 {
	n := len(w.Body) + len(w.Path) + len(w.Query) + 512
	for name, values := range w.Header {
		for _, v := range values {
			n += len(name) + len(v) + 4
		}
	}
	return int64(n)
}

// Outline returns w without the parts that are needed only to apply it.
func (w *Write) Outline() *Write {
	outline := *w
	outline.Header, outline.Body = nil, nil
	return &outline
}

// Policy limits the number and the rate of attempts.
type Policy struct {
	Retries    int // after the first attempt
	Backoff    time.Duration
	MaxBackoff time.Duration
	DeadLetter bool  // whether a write that can't be applied is kept
	RetryOn    []int // statuses that are retried in addition to the temporary ones
}

// Phase is the progress of a write.
type Phase string

const (
	Queued   Phase = "queued"   // not attempted yet
	Retrying Phase = "retrying" // attempted, and will be attempted again
	Done     Phase = "done"     // applied by the upstream
	Dead     Phase = "dead"     // not attempted any more
	Dropped  Phase = "dropped"  // a dead letter that an operator has dropped
	Lost     Phase = "lost"     // acknowledged, and gone without having been applied
)

// State is the progress and the result of a write.
type State struct {
	Phase    Phase     `json:"state"`
	Tries    int       `json:"tries"`
	Status   int       `json:"status,omitempty"`   // of the upstream's last response
	Reason   string    `json:"reason,omitempty"`   // why the write is not done
	Location string    `json:"location,omitempty"` // from the upstream's response
	Next     time.Time `json:"next,omitzero"`      // time of the next attempt
	Updated  time.Time `json:"updated"`
}

// Ended reports whether the state no longer changes by itself.
func (s *State) Ended() bool {
	return s.Phase == Done || s.Phase == Dead || s.Phase == Dropped || s.Phase == Lost
}

// Drop returns s with the phase Dropped.
func (s State) Drop(at time.Time) State {
	s.Phase, s.Updated = Dropped, at
	return s
}

// Record is a write with its state.
type Record struct {
	*Write
	State
}

// Stats holds the figures of a queue.
type Stats struct {
	Pending int           // pending writes
	Bytes   int64         // bytes of the pending writes
	Oldest  time.Duration // age of the oldest pending write
	Dead    int           // dead letters
	Lost    int64         // writes found lost since the store was opened
}

// Digest is a SHA-256 hash.
type Digest [sha256.Size]byte

// IsZero reports whether d is the zero digest.
func (d Digest) IsZero() bool { return d == Digest{} }

// digest hashes the parts, each preceded by its length.
func digest(parts ...[]byte) Digest {
	h := sha256.New()
	var n [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write(p)
	}
	return Digest(h.Sum(nil))
}

// Partitions is the number of parts into which the lanes are divided. Each part has one worker at a
// time. The number belongs to the stored form and must not change.
const Partitions = 16

// PartitionOf returns the number of the part of a lane.
func PartitionOf(lane string) int {
	sum := sha256.Sum256([]byte(lane))
	return int(sum[0]) % Partitions
}

// newID returns an ID that can't be guessed.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// IsID reports whether s has the form of an ID.
func IsID(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil && len(s) == 32
}
