package file

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/penstock/penstock/proxy/write"
)

// maxProblems limits the problems that are described one by one.
const maxProblems = 10

// extent locates a write in the file: a record, or the bare stored form of an earlier version.
type extent struct {
	at int64
	n  int // 0 if nothing was found
}

// trace collects the records of one write.
type trace struct {
	id       string
	whole    extent // the write as accepted; n is 0 if it was not found
	outline  extent // n is 0 if it was not found
	lane     string
	key      write.Digest
	accepted time.Time
	place    uint64 // the greatest place that was found; otherwise 0
	state    *stateRecord
	ended    bool // true if the write has ended for good, so that no later record can change that
	phase    write.Phase
	until    time.Time // expiry of an ended write
	dead     time.Time // when it became a dead letter; zero if no record says so
}

// survey is the result of reading a file.
type survey struct {
	meta         meta
	framed       bool // true if a record of this version was found
	problems     []string
	problemCount int // number of problems
	traces       map[string]*trace
	lowest       uint64 // no write below this place is pending
	// order holds the pending writes by place. It is complete if orderly is true.
	order   map[uint64]string
	orderly bool

	buckets  map[string]bool
	sequence uint64
	last     uint64
}

// sound reports whether the file has no problem.
func (s *survey) sound() bool { return s.problemCount == 0 }

func (s *survey) trouble(what string) {
	if s.problemCount++; len(s.problems) < maxProblems {
		s.problems = append(s.problems, what)
	}
}

// inspect reads the whole file. It returns an error if the file is not one of this form.
func inspect(r io.ReaderAt, size int64) (*survey, error) {
	s := &survey{traces: make(map[string]*trace), order: make(map[uint64]string), buckets: make(map[string]bool), orderly: true}
	newest, whole, err := metas(r)
	switch {
	case err == nil:
		s.meta = newest
		s.follow(r, size, whole)
	case err == errVersion:
		return nil, err
	default:
		s.orderly = false
		s.trouble("both of its first pages are damaged")
	}
	if s.sound() {
		return s, nil
	}
	return s, s.search(r, size)
}

// follow reads the tree.
func (s *survey) follow(r io.ReaderAt, size int64, whole bool) {
	if !whole { // the damaged meta page may have been the newer one
		s.orderly = false
		s.trouble("one of its first pages is damaged")
	}
	if !s.freelistIsSound(r) {
		s.trouble("its list of free pages is damaged")
	}
	w := &walker{r: r, size: size, meta: s.meta, visit: s.visit}
	w.trouble = func(bucket, what string) {
		if bucket == "" || bucket == string(bucketOrder) {
			s.orderly = false
		}
		s.trouble(what)
	}
	w.bucket = func(name string, sequence uint64) {
		s.buckets[name] = true
		if name == string(bucketOrder) {
			s.sequence = sequence
		}
	}
	w.walk()
	s.checkBuckets()
}

// freelistIsSound reports whether the library can read the list of free pages. Only a new file has
// such a list.
func (s *survey) freelistIsSound(r io.ReaderAt) bool {
	if s.meta.freelist == noFreelist {
		return true
	}
	var head [pageHead]byte
	_, err := r.ReadAt(head[:], int64(s.meta.freelist)*int64(s.meta.pageSize))
	return err == nil && s.meta.freelist == 2 && order.Uint64(head[:]) == 2 && order.Uint16(head[8:]) == flagFreelist && order.Uint16(head[10:]) == 0
}

// checkBuckets reports missing and unknown buckets. If the name of a bucket is damaged, its content
// is hidden. A file without buckets is accepted.
func (s *survey) checkBuckets() {
	if len(s.buckets) == 0 {
		return
	}
	for name := range s.buckets {
		if !slices.ContainsFunc(allBuckets, func(b []byte) bool { return string(b) == name }) {
			s.trouble(fmt.Sprintf("it has a part %.20q that is not known", name))
			s.orderly = false
		}
	}
	for _, b := range firstBuckets {
		if !s.buckets[string(b)] {
			s.trouble(fmt.Sprintf("its part %q is missing", b))
			s.orderly = s.orderly && s.buckets[string(bucketOrder)]
		}
	}
	if s.sequence < s.last {
		s.trouble("the number of its last write is damaged")
	}
}

// search looks for records in the whole file, because the tree is incomplete.
func (s *survey) search(r io.ReaderAt, size int64) error {
	if err := scan(r, size, s.note); err != nil {
		return err
	}
	if s.meta.pageSize == 0 && !s.framed {
		return errForeign
	}
	return nil
}

// trace returns the trace of a write.
func (s *survey) trace(id string) *trace {
	t := s.traces[id]
	if t == nil {
		t = &trace{id: id}
		s.traces[id] = t
	}
	return t
}

// visit records a value of the tree.
func (s *survey) visit(bucket string, key, value []byte, at int64) {
	var err error
	switch bucket {
	case string(bucketWrites):
		var place uint64
		var ended bool
		var w *write.Write
		if w, place, ended, err = writeOf(key, value); err == nil {
			s.framed = s.framed || framed(value)
			s.write(w, place, ended, extent{at, len(value)})
		}
	case string(bucketStates):
		var r stateRecord
		if r, err = stateOf(key, value); err == nil {
			s.state(r)
		}
	case string(bucketOrder):
		var id string
		if id, err = orderOf(key, value); err == nil {
			place := binary.BigEndian.Uint64(key)
			s.order[place], s.last = id, max(s.last, place)
			s.placed(id, place)
		} else {
			s.orderly = false
		}
	case string(bucketKeys):
		_, _, err = keyOf(key, value)
	case string(bucketDead):
		if err = timedOf(kindDead, key, value); err == nil {
			s.died(string(key[8:]), binary.BigEndian.Uint64(key))
		}
	case string(bucketEnded):
		if err = timedOf(kindEnded, key, value); err == nil {
			s.ended(string(key[8:]), binary.BigEndian.Uint64(key), "")
			if framed(value) {
				k, payload, _ := unseal(value) // read a moment ago
				s.note(k, payload, at)
			}
		}
	}
	if err != nil {
		s.trouble(fmt.Sprintf("%s: a record is damaged", bucket))
	}
}

// note records a record of this version.
func (s *survey) note(k kind, payload []byte, at int64) {
	s.framed = true
	switch k {
	case kindWrite, kindOutline:
		if len(payload) < 8 {
			return
		}
		if w, err := write.Decode(payload[8:]); err == nil {
			s.write(w, binary.BigEndian.Uint64(payload), k == kindOutline, extent{at, frameHead + len(payload) + frameTail})
		}
	case kindState:
		if r, err := readState(payload); err == nil {
			s.state(r)
		}
	case kindOrder:
		if len(payload) > 8 {
			s.placed(string(payload[8:]), binary.BigEndian.Uint64(payload))
		}
	case kindDead:
		if at, id, _, err := readTimed(k, payload); err == nil {
			s.died(id, at)
		}
	case kindEnded:
		if until, id, phase, err := readTimed(k, payload); err == nil {
			s.ended(id, until, phase)
		}
	}
}

func (s *survey) write(w *write.Write, place uint64, ended bool, where extent) {
	t := s.trace(w.ID)
	t.lane, t.key, t.accepted, t.place = w.Lane(), w.Key, w.Accepted, max(t.place, place)
	if ended {
		t.ended, t.outline = true, where
	} else {
		t.whole = where
	}
}

// state keeps the later one of two states.
func (s *survey) state(r stateRecord) {
	s.lowest = max(s.lowest, r.lowest)
	t := s.trace(r.id)
	t.place = max(t.place, r.place)
	if t.state == nil || r.revision > t.state.revision || r.revision == t.state.revision && !r.state.Updated.Before(t.state.state.Updated) {
		t.state = &r
	}
}

func (s *survey) placed(id string, place uint64) {
	t := s.trace(id)
	t.place = max(t.place, place)
}

func (s *survey) ended(id string, until uint64, phase write.Phase) {
	t := s.trace(id)
	t.ended = true
	if at := time.Unix(0, int64(min(until, 1<<62))); at.After(t.until) {
		t.until = at
	}
	if phase != "" {
		t.phase = phase
	}
}

func (s *survey) died(id string, at uint64) {
	t := s.trace(id)
	if died := time.Unix(0, int64(min(at, 1<<62))); died.After(t.dead) {
		t.dead = died
	}
}
