package store

import (
	"encoding/binary"
	"strings"
	"time"
	"unsafe"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
)

// A record is an object as it is kept in memory: without a pointer, in one piece. It never leaves the process. Numbers are varints, except
// for those at its beginning, strings have their length in front.
//
//	its own length, 4 bytes; the hash of the key, 16 bytes; the full key
//	the number of the variants, and of each the representations (coding, head, length of the body), facts, tags, epoch, fence and derivable codings
//	the bodies, in the same order
//
// An object that is too large for a chunk has the same without the bodies, which stay in the segments in which they came.
const recordHead = 4 + 16

func recordSize(b []byte) int  { return int(binary.LittleEndian.Uint32(b)) }
func recordID(b []byte) uint64 { return binary.LittleEndian.Uint64(b[4:]) }

// isRecordOf reports whether b is the record of what is stored under k.
func isRecordOf(b []byte, k *cachepolicy.Key) bool {
	if [16]byte(b[4:recordHead]) != k.Hash {
		return false
	}
	n, size := binary.Uvarint(b[recordHead:])
	return n == uint64(len(k.Full)) && string(b[recordHead+size:][:n]) == k.Full
}

// recordKey is the key in b, which is copied.
func recordKey(b []byte) (k cachepolicy.Key) {
	copy(k.Hash[:], b[4:])
	n, size := binary.Uvarint(b[recordHead:])
	k.Full = string(b[recordHead+size:][:n])
	return k
}

// appendRecord appends o without its bodies.
func appendRecord(dst []byte, o *Object, known *eras) []byte {
	dst = append(dst, 0, 0, 0, 0)
	dst = append(dst, o.Key.Hash[:]...)
	dst = appendString(dst, o.Key.Full)
	dst = binary.AppendUvarint(dst, uint64(len(o.Variants)))
	for _, e := range o.Variants {
		dst = appendVariant(dst, e, known)
	}
	return dst
}

// appendBodies appends what appendRecord left out.
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

// seal enters the length of the record that dst is.
func seal(dst []byte) []byte {
	binary.LittleEndian.PutUint32(dst, uint32(len(dst)))
	return dst
}

func appendVariant(dst []byte, e *Entry, known *eras) []byte {
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

// appendRepresentations comes before the facts, so that these can refer to the head.
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

// appendTimeNear needs few bytes for a time that is close to another, or for one of whole seconds.
func appendTimeNear(dst []byte, t, near time.Time) []byte {
	dst = binary.AppendVarint(dst, t.Unix()-near.Unix())
	if t.Nanosecond() == near.Nanosecond() {
		return append(dst, 0)
	}
	return binary.AppendUvarint(dst, uint64(t.Nanosecond())+1)
}

// appendDuration has the seconds, and in the lowest bit whether there are nanoseconds.
func appendDuration(dst []byte, d time.Duration) []byte {
	seconds, rest := int64(d/time.Second)*2, int64(d%time.Second)
	if rest == 0 {
		return binary.AppendVarint(dst, seconds)
	}
	return binary.AppendVarint(binary.AppendVarint(dst, seconds|1), rest)
}

// appendPart appends s, or where it is in the head, as it is with an entity tag.
func appendPart(dst []byte, s, head string) []byte {
	if i := strings.Index(head, s); i >= 0 && s != "" {
		dst = binary.AppendUvarint(dst, uint64(len(s))<<1|1)
		return binary.AppendUvarint(dst, uint64(i))
	}
	dst = binary.AppendUvarint(dst, uint64(len(s))<<1)
	return append(dst, s...)
}

// unpacked is an object as most are, in one allocation.
type unpacked struct {
	Object
	list     [1]*Entry
	entry    Entry
	reps     [2]Representation
	segments [2][]byte
}

// unpack is the object of a record. Its strings and bodies are parts of the record.
func unpack(b []byte, known *eras) *Object {
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

// unpackHead is unpack without the bodies, which are empty and know their sizes; rest is what comes behind.
func unpackHead(b []byte, known *eras) (u *unpacked, rest []byte) {
	u = new(unpacked)
	// Nobody writes to a record once it is there, so what is a part of it may be a string.
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

// variant reads one variant. Its representations are the first of spare if there are enough; what is left of spare is returned.
func (r *reader) variant(e *Entry, spare []Representation, known *eras) []Representation {
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
