package store

import (
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
)

// A record is the form of an object in memory: one piece of bytes without pointers. It never leaves
// the process. Numbers are varints, except for the fixed-length ones at the beginning. Strings are
// preceded by their length.
//
//	its own length, 4 bytes; the hash of the key, 16 bytes; the full key
//	the number of variants; for each variant its representations (coding, head, length of the body),
//	facts, tags, epoch, fence and derivable codings
//	the bodies, in the same order
//
// If an object is too large for a chunk, ownCopy uses the same form without the bodies, which stay
// in their segments.
const recordHead = 4 + 16

func recordSize(b []byte) int  { return int(binary.LittleEndian.Uint32(b)) }
func recordID(b []byte) uint64 { return binary.LittleEndian.Uint64(b[4:]) }

// isRecordOf reports whether b is the record of the object under k.
func isRecordOf(b []byte, k *cachepolicy.Key) bool {
	if [16]byte(b[4:recordHead]) != k.Hash {
		return false
	}
	n, size := binary.Uvarint(b[recordHead:])
	return n == uint64(len(k.Full)) && string(b[recordHead+size:][:n]) == k.Full
}

// recordKey returns a copy of the key in b.
func recordKey(b []byte) (k cachepolicy.Key) {
	copy(k.Hash[:], b[4:])
	n, size := binary.Uvarint(b[recordHead:])
	k.Full = string(b[recordHead+size:][:n])
	return k
}

// appendRecord appends the record of o without the bodies.
func appendRecord(dst []byte, o *Object, known *eraNumbers) []byte {
	dst = append(dst, 0, 0, 0, 0)
	dst = append(dst, o.Key.Hash[:]...)
	dst = appendString(dst, o.Key.Full)
	dst = binary.AppendUvarint(dst, uint64(len(o.Variants)))
	for _, e := range o.Variants {
		dst = appendVariant(dst, e, known)
	}
	return dst
}

// appendBodies appends the bodies of o, in the order of appendRecord.
func appendBodies(dst []byte, o *Object) []byte {
	for _, e := range o.Variants {
		for i := range e.Representations {
			for _, s := range e.Representations[i].Body.Segments {
				dst = append(dst, s...)
			}
		}
	}
	return dst
}

// seal writes the record's length to its first four bytes.
func seal(dst []byte) []byte {
	binary.LittleEndian.PutUint32(dst, uint32(len(dst)))
	return dst
}

func appendVariant(dst []byte, e *Entry, known *eraNumbers) []byte {
	dst = appendRepresentations(dst, e.Representations)
	head := ""
	if len(e.Representations) > 0 {
		head = e.Representations[0].Head
	}
	dst = appendFacts(dst, &e.Meta, head)
	dst = binary.AppendUvarint(dst, uint64(len(e.Tags)))
	for _, tag := range e.Tags {
		dst = appendString(dst, tag)
	}
	dst = known.append(dst, e.Epoch.Era)
	dst = binary.AppendUvarint(dst, e.Epoch.Seq)
	dst = binary.AppendUvarint(dst, e.Fence)
	return append(dst, byte(e.Derivable))
}

// appendRepresentations precedes the facts, so that the facts can refer to the head.
func appendRepresentations(dst []byte, list []Representation) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	for i := range list {
		r := &list[i]
		b := byte(r.Coding)
		if r.Best {
			b |= bestBit
		}
		dst = append(dst, b)
		dst = appendString(dst, r.Head)
		dst = binary.AppendUvarint(dst, uint64(r.Body.Size))
	}
	return dst
}

func appendFacts(dst []byte, m *cachepolicy.Meta, head string) []byte {
	dst = binary.AppendUvarint(dst, uint64(m.Status))
	dst = binary.AppendUvarint(dst, uint64(m.Flags))
	dst = appendTime(dst, m.Born)
	dst = appendTimeNear(dst, m.Received, m.Born)
	dst = appendTimeNear(dst, m.LastModified, m.Born)
	dst = appendTimeNear(dst, m.Date, m.Born)
	for _, d := range [...]time.Duration{m.Lifetime, m.StaleRevalid, m.StaleError, m.FillTime} {
		dst = appendDuration(dst, d)
	}
	dst = appendPart(dst, m.ETag, head)
	dst = appendPart(dst, m.Language, head)
	dst = appendString(dst, string(m.Vary))
	dst = binary.AppendVarint(dst, m.Total)
	dst = appendSpans(dst, m.Spans)
	return binary.AppendUvarint(dst, m.Seq)
}

// appendTimeNear appends t relative to near. It takes few bytes if the two are close, or if t has
// the same fraction of a second.
func appendTimeNear(dst []byte, t, near time.Time) []byte {
	dst = binary.AppendVarint(dst, t.Unix()-near.Unix())
	if t.Nanosecond() == near.Nanosecond() {
		return append(dst, 0)
	}
	return binary.AppendUvarint(dst, uint64(t.Nanosecond())+1)
}

// appendDuration appends seconds. The lowest bit is set if nanoseconds follow.
func appendDuration(dst []byte, d time.Duration) []byte {
	seconds, rest := int64(d/time.Second)*2, int64(d%time.Second)
	if rest == 0 {
		return binary.AppendVarint(dst, seconds)
	}
	return binary.AppendVarint(binary.AppendVarint(dst, seconds|1), rest)
}

// appendPart appends s, or its position if the head contains s, as it usually does for an ETag.
func appendPart(dst []byte, s, head string) []byte {
	if i := strings.Index(head, s); i >= 0 && s != "" {
		dst = binary.AppendUvarint(dst, uint64(len(s))<<1|1)
		return binary.AppendUvarint(dst, uint64(i))
	}
	dst = binary.AppendUvarint(dst, uint64(len(s))<<1)
	return append(dst, s...)
}

// unpacked holds a decoded object with one variant in a single allocation.
type unpacked struct {
	Object
	list     [1]*Entry
	entry    Entry
	reps     [2]Representation
	segments [2][]byte
}

// unpack decodes a record. The strings and bodies of the object are parts of the record.
func unpack(b []byte, known *eraNumbers) *Object {
	u, rest := unpackHead(b, known)
	spare := u.segments[:]
	for _, e := range u.Variants {
		for i := range e.Representations {
			body := &e.Representations[i].Body
			if body.Size == 0 {
				continue
			}
			if len(spare) == 0 {
				spare = make([][]byte, len(e.Representations)-i)
			}
			spare[0] = rest[:body.Size:body.Size]
			body.Segments, spare, rest = spare[:1:1], spare[1:], rest[body.Size:]
		}
	}
	return &u.Object
}

// unpackHead decodes a record up to the bodies. It sets the sizes of the bodies but no segments.
// rest is the remainder of b.
func unpackHead(b []byte, known *eraNumbers) (u *unpacked, rest []byte) {
	u = new(unpacked)
	// Records are never changed once written, so a part of one may be used as a string.
	r := reader{s: unsafe.String(unsafe.SliceData(b), len(b))[recordHead:]}
	u.Key.Hash = [16]byte(b[4:recordHead])
	u.Key.Full = r.string()
	u.Variants = u.list[:]
	n := r.count(1)
	if n == 1 {
		u.list[0] = &u.entry
	} else {
		entries := make([]Entry, n)
		u.Variants = make([]*Entry, n)
		for i := range entries {
			u.Variants[i] = &entries[i]
		}
	}
	spare := u.reps[:]
	for _, e := range u.Variants {
		spare = r.variant(e, spare, known)
	}
	return u, b[len(b)-len(r.s):]
}

// variant decodes one variant into e. It takes e's representations from spare if that is long
// enough, and returns the rest of spare.
func (r *reader) variant(e *Entry, spare []Representation, known *eraNumbers) []Representation {
	n := r.count(1)
	if n > len(spare) {
		spare = make([]Representation, n)
	}
	e.Representations = spare[:n:n]
	for i := range e.Representations {
		p := &e.Representations[i]
		r.representation(p)
		p.Body.Size = int64(r.uint())
	}
	head := ""
	if n > 0 {
		head = e.Representations[0].Head
	}
	r.facts(&e.Meta, head)
	if n := r.count(1); n > 0 {
		e.Tags = make([]string, n)
		for i := range e.Tags {
			e.Tags[i] = r.string()
		}
	}
	e.Epoch = Epoch{Era: known.read(r), Seq: r.uint()}
	e.Fence = r.uint()
	e.Derivable = compress.Set(r.byte())
	return spare[n:]
}

func (r *reader) facts(m *cachepolicy.Meta, head string) {
	m.Status, m.Flags = int(r.uint()), cachepolicy.Flags(r.uint())
	m.Born = r.time()
	m.Received, m.LastModified, m.Date = r.timeNear(m.Born), r.timeNear(m.Born), r.timeNear(m.Born)
	m.Lifetime, m.StaleRevalid, m.StaleError, m.FillTime = r.seconds(), r.seconds(), r.seconds(), r.seconds()
	m.ETag, m.Language = r.part(head), r.part(head)
	m.Vary = cachepolicy.Vary(r.string())
	m.Total = r.int()
	m.Spans = r.spans()
	m.Seq = r.uint()
}

func (r *reader) seconds() time.Duration {
	n := r.int()
	d := time.Duration(n>>1) * time.Second
	if n&1 != 0 {
		d += time.Duration(r.int())
	}
	return d
}

func (r *reader) timeNear(near time.Time) time.Time {
	seconds, nanoseconds := near.Unix()+r.int(), r.uint()
	if nanoseconds == 0 {
		return time.Unix(seconds, int64(near.Nanosecond())).UTC()
	}
	return time.Unix(seconds, int64(nanoseconds)-1).UTC()
}

func (r *reader) part(head string) string {
	n := r.uint()
	if n&1 == 0 {
		n >>= 1
		s := r.s[:n]
		r.s = r.s[n:]
		return s
	}
	at := r.uint()
	return head[at : at+n>>1]
}

// maxEraNumbers is the number of eras that have a number. A new era begins only if the history of
// purges is lost, which is rare.
const maxEraNumbers = 100

// eraNumbers gives the eras in records short numbers. Nearly all records have the same era, so a
// number makes records shorter.
type eraNumbers struct {
	mu   sync.Mutex
	list atomic.Pointer[[]uint64]
}

// number is that of an era, from 1 on; 0 when there are too many.
// number returns the number of an era, counting from 1, or 0 if all numbers are taken.
func (e *eraNumbers) number(era uint64) int {
	if list := e.list.Load(); list != nil {
		if i := slices.Index(*list, era); i >= 0 {
			return i + 1
		}
	}
	return e.add(era)
}

func (e *eraNumbers) add(era uint64) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	var list []uint64
	if old := e.list.Load(); old != nil {
		list = *old
	}
	if i := slices.Index(list, era); i >= 0 {
		return i + 1
	}
	if len(list) == maxEraNumbers {
		return 0
	}
	list = append(slices.Clip(list), era)
	e.list.Store(&list)
	return len(list)
}

// append appends the number of an era. If the era has no number, it appends 0 and the era itself.
func (e *eraNumbers) append(dst []byte, era uint64) []byte {
	n := e.number(era)
	dst = append(dst, byte(n))
	if n == 0 {
		dst = binary.AppendUvarint(dst, era)
	}
	return dst
}

func (e *eraNumbers) read(r *reader) uint64 {
	if n := r.byte(); n > 0 {
		return (*e.list.Load())[n-1]
	}
	return r.uint()
}
