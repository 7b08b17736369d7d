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

// Findings of a Store.
var (
	ErrFull     = errors.New("write: the queue is full")
	ErrConflict = errors.New("write: this Idempotency-Key came with another request before")
	ErrUnknown  = errors.New("write: there is no such write")
	ErrLost     = errors.New("write: another instance works on this now")
	ErrClosed   = errors.New("write: the queue is closed")
)

// Write is a request that is to be applied.
type Write struct {
	ID       string
	Route    string
	Method   string
	Scheme   string
	Host     string // canonical
	Path     string // escaped, canonical
	Query    string
	Header   http.Header // what goes upstream: the fields that don't end at this hop
	Body     []byte
	Accepted time.Time
	Policy   Policy
	Key      Digest // of the client's Idempotency-Key and what it is unique for; zero: it sent none
	Print    Digest // of the payload
	// Seen is how reads name what it changes; "": they don't see it before it is applied.
	Seen string
	// Who is the digest of the credentials that it came with; zero: none.
	Who Digest
}

// Lane is what the order is kept of.
func (w *Write) Lane() string { return w.Host + w.Path }

// Size is about what it takes to keep it.
func (w *Write) Size() int64 {
	n := len(w.Body) + len(w.Path) + len(w.Query) + 512
	for name, values := range w.Header {
		for _, v := range values {
			n += len(name) + len(v) + 4
		}
	}
	return int64(n)
}

// Outline is w without what only its application needs.
func (w *Write) Outline() *Write {
	outline := *w
	outline.Header, outline.Body = nil, nil
	return &outline
}

// Policy is how often and how fast a write is tried.
type Policy struct {
	Retries    int // after the first try
	Backoff    time.Duration
	MaxBackoff time.Duration
	DeadLetter bool // keep what can't be applied
}

// Phase is how far a write has come.
type Phase string

const (
	Queued   Phase = "queued"   // nobody has tried it yet
	Retrying Phase = "retrying" // it was tried, and will be again
	Done     Phase = "done"     // the upstream has it
	Dead     Phase = "dead"     // it is not tried any more
)

// State is what has become of a write.
type State struct {
	Phase    Phase     `json:"state"`
	Tries    int       `json:"tries"`
	Status   int       `json:"status,omitempty"`   // of the upstream's last answer
	Reason   string    `json:"reason,omitempty"`   // why it is not done
	Location string    `json:"location,omitempty"` // that the upstream's answer named
	Next     time.Time `json:"next,omitzero"`      // of the next try
	Updated  time.Time `json:"updated"`
}

// Ended reports whether nothing more is going to happen to it by itself.
func (s *State) Ended() bool { return s.Phase == Done || s.Phase == Dead }

// Record is a write with its state.
type Record struct {
	*Write
	State
}

// Stats are the figures of a queue.
type Stats struct {
	Pending int           // writes to be applied
	Bytes   int64         // of them
	Oldest  time.Duration // how long the oldest of them has been waiting
	Dead    int           // letters kept
}

// Digest is a SHA-256.
type Digest [sha256.Size]byte

// IsZero reports whether nothing was digested.
func (d Digest) IsZero() bool { return d == Digest{} }

// digest is that of the parts, each told from the next by its length.
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

// Partitions is how many parts the lanes are divided among. It is a part of the stored form: each part has one worker at a time.
const Partitions = 16

// PartitionOf is the part that a lane is in.
func PartitionOf(lane string) int {
	sum := sha256.Sum256([]byte(lane))
	return int(sum[0]) % Partitions
}

// newID is one that can't be guessed.
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
