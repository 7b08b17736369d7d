package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
)

// ErrDamaged is returned by DecodeEntry if the data is not an intact encoding under the key:
// truncated, changed, of another version, or made for another key.
var ErrDamaged = errors.New("store: damaged value")

// ErrOtherKey is returned by DecodeEntry if the data is intact but belongs to another key with the
// same hash.
var ErrOtherKey = errors.New("store: value of another key with the same hash")

// The encoding of an entry outside the process. Numbers are varints unless a length is given.
// Strings are preceded by their length.
//
//	mark and version, 2 bytes
//	the key: hash, 16 bytes; full
//	length of the head, 4 bytes
//	the head: meta, tags, epoch, fence, derivable codings, and the coding and head of each representation
//	for each representation, the number and the lengths of its body's segments
//	the segments
//	xxhash64 of everything before it, 8 bytes
//
// The head is one piece, so that all strings of a decoded entry can share a single string.
const (
	codecMark    = 'E'
	codecVersion = 2 // 2: FlagDeclared; entries of version 1 may have windows without a lifetime
	sumSize      = 8
	minEncoded   = 2 + 16 + 1 + 4 + 1 + sumSize
	bestBit      = 0x80 // in the byte of a coding: Representation.Best
)

// AppendEntry appends the encoding of e under k. It omits Uses, which counts the hits of one
// process.
func AppendEntry(dst []byte, k cachepolicy.Key, e *Entry) ([]byte, error) {
	start := len(dst)
	dst = append(dst, codecMark, codecVersion)
	dst = append(dst, k.Hash[:]...)
	dst = appendString(dst, k.Full)
	dst = append(dst, 0, 0, 0, 0)
	head := len(dst)
	dst = appendHead(dst, e)
	if uint64(len(dst)-head) > 1<<32-1 {
		return dst[:start], ErrTooLarge
	}
	binary.BigEndian.PutUint32(dst[head-4:], uint32(len(dst)-head))
	for i := range e.Representations {
		var err error
		if dst, err = appendLengths(dst, &e.Representations[i].Body); err != nil {
			return dst[:start], err
		}
	}
	for i := range e.Representations {
		for _, s := range e.Representations[i].Body.Segments {
			dst = append(dst, s...)
		}
	}
	return binary.BigEndian.AppendUint64(dst, xxhash.Sum64(dst[start:])), nil
}

// EncodedSize returns an upper bound of the length of e's encoding under k. The bound is close.
func EncodedSize(k cachepolicy.Key, e *Entry) int {
	const fixed, perRepresentation, perSegment, perString = 192, 16, 5, 5
	n := minEncoded + fixed + len(k.Full) + len(e.ETag) + len(e.Vary) + len(e.Language) + 2*binary.MaxVarintLen64*len(e.Spans)
	for _, tag := range e.Tags {
		n += perString + len(tag)
	}
	for i := range e.Representations {
		r := &e.Representations[i]
		n += perRepresentation + len(r.Head) + perSegment*len(r.Body.Segments) + int(r.Body.Size)
	}
	return n
}

// Stamp returns a hash of everything in e but the bodies. An entry and its decoded encoding have
// the same stamp.
func Stamp(e *Entry) uint64 {
	var space [2048]byte
	return xxhash.Sum64(appendHead(space[:0], e))
}

// DecodeEntry decodes an encoding that AppendEntry has made for k. The entry does not refer to
// data. The error is ErrDamaged or ErrOtherKey.
func DecodeEntry(k cachepolicy.Key, data []byte) (*Entry, error) {
	rest, err := openEncoded(k, data)
	if err != nil {
		return nil, err
	}
	if len(rest) < 4 || uint64(binary.BigEndian.Uint32(rest)) > uint64(len(rest)-4) {
		return nil, fmt.Errorf("%w: the head is truncated", ErrDamaged)
	}
	n := binary.BigEndian.Uint32(rest)
	r := reader{s: string(rest[4 : 4+n])} // the single string that holds all strings of the entry
	e := r.head()
	if r.bad || r.s != "" {
		return nil, fmt.Errorf("%w: malformed head", ErrDamaged)
	}
	if !decodeBodies(e.Representations, rest[4+n:]) {
		return nil, fmt.Errorf("%w: malformed bodies", ErrDamaged)
	}
	return e, nil
}

// openEncoded verifies the mark, version, checksum and key, and returns the data between the key
// and the checksum.
func openEncoded(k cachepolicy.Key, data []byte) ([]byte, error) {
	if len(data) < minEncoded || data[0] != codecMark {
		return nil, fmt.Errorf("%w: not an encoded entry", ErrDamaged)
	}
	if data[1] != codecVersion {
		return nil, fmt.Errorf("%w: encoding version %d, this instance reads %d", ErrDamaged, data[1], codecVersion)
	}
	end := len(data) - sumSize
	if xxhash.Sum64(data[:end]) != binary.BigEndian.Uint64(data[end:]) {
		return nil, fmt.Errorf("%w: checksum mismatch", ErrDamaged)
	}
	if [16]byte(data[2:18]) != k.Hash {
		return nil, fmt.Errorf("%w: made for another key", ErrDamaged)
	}
	n, size := binary.Uvarint(data[18:end])
	if size <= 0 || n > uint64(end-18-size) {
		return nil, fmt.Errorf("%w: the key is truncated", ErrDamaged)
	}
	full := data[18+size:][:n]
	if string(full) != k.Full {
		return nil, ErrOtherKey
	}
	return data[18+size+int(n) : end], nil
}

func appendHead(dst []byte, e *Entry) []byte {
	dst = appendMeta(dst, &e.Meta)
	dst = binary.AppendUvarint(dst, uint64(len(e.Tags)))
	for _, tag := range e.Tags {
		dst = appendString(dst, tag)
	}
	dst = binary.AppendUvarint(dst, e.Epoch.Era)
	dst = binary.AppendUvarint(dst, e.Epoch.Seq)
	dst = binary.AppendUvarint(dst, e.Fence)
	dst = append(dst, byte(e.Derivable))
	dst = binary.AppendUvarint(dst, uint64(len(e.Representations)))
	for i := range e.Representations {
		r := &e.Representations[i]
		b := byte(r.Coding)
		if r.Best {
			b |= bestBit
		}
		dst = append(dst, b)
		dst = appendString(dst, r.Head)
	}
	return dst
}

func appendMeta(dst []byte, m *cachepolicy.Meta) []byte {
	dst = binary.AppendUvarint(dst, uint64(m.Status))
	dst = binary.AppendUvarint(dst, uint64(m.Flags))
	dst = appendTime(dst, m.Born)
	dst = appendTime(dst, m.Received)
	dst = binary.AppendVarint(dst, int64(m.Lifetime))
	dst = binary.AppendVarint(dst, int64(m.StaleRevalid))
	dst = binary.AppendVarint(dst, int64(m.StaleError))
	dst = binary.AppendVarint(dst, int64(m.FillTime))
	dst = appendString(dst, m.ETag)
	dst = appendTime(dst, m.LastModified)
	dst = appendTime(dst, m.Date)
	dst = appendString(dst, string(m.Vary))
	dst = appendString(dst, m.Language)
	dst = binary.AppendVarint(dst, m.Total)
	dst = appendSpans(dst, m.Spans)
	return binary.AppendUvarint(dst, m.Seq)
}

// appendSpans distinguishes nil (the body is complete) from an empty list (no part of the body is
// stored).
func appendSpans(dst []byte, spans []cachepolicy.Span) []byte {
	if spans == nil {
		return append(dst, 0)
	}
	dst = binary.AppendUvarint(dst, uint64(len(spans))+1)
	for _, s := range spans {
		dst = binary.AppendVarint(dst, s.First)
		dst = binary.AppendVarint(dst, s.Last)
	}
	return dst
}

func appendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// appendTime appends seconds and nanoseconds separately, because HTTP dates exceed the range of
// 64-bit nanoseconds.
func appendTime(dst []byte, t time.Time) []byte {
	dst = binary.AppendVarint(dst, t.Unix())
	return binary.AppendUvarint(dst, uint64(t.Nanosecond()))
}

func appendLengths(dst []byte, b *Body) ([]byte, error) {
	dst = binary.AppendUvarint(dst, uint64(len(b.Segments)))
	left := b.Size
	for _, s := range b.Segments {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		left -= int64(len(s))
	}
	if left != 0 {
		return dst, fmt.Errorf("store: a body of %d bytes has segments of %d bytes", b.Size, b.Size-left)
	}
	return dst, nil
}

// reader decodes fields from the front of s. If a field is malformed, bad becomes true and all
// further fields are zero.
type reader struct {
	s   string
	bad bool
}

func (r *reader) fail() {
	r.s, r.bad = "", true
}

func (r *reader) uint() uint64 {
	var n uint64
	for i := 0; i < len(r.s) && i < binary.MaxVarintLen64; i++ {
		c := r.s[i]
		if i == binary.MaxVarintLen64-1 && c > 1 {
			break
		}
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			r.s = r.s[i+1:]
			return n
		}
	}
	r.fail()
	return 0
}

func (r *reader) int() int64 {
	n := r.uint()
	return int64(n>>1) ^ -int64(n&1)
}

// count reads a number of elements that take at least size bytes each. If s is too short for so
// many, the data is bad, so a forged number can't cause a large allocation.
func (r *reader) count(size int) int {
	n := r.uint()
	if n > uint64(len(r.s)/size) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) string() string {
	n := r.count(1)
	s := r.s[:n]
	r.s = r.s[n:]
	return s
}

func (r *reader) byte() byte {
	if r.s == "" {
		r.fail()
		return 0
	}
	b := r.s[0]
	r.s = r.s[1:]
	return b
}

func (r *reader) time() time.Time {
	seconds, nanoseconds := r.int(), r.uint()
	if nanoseconds >= uint64(time.Second) {
		r.fail()
		return time.Time{}
	}
	return time.Unix(seconds, int64(nanoseconds)).UTC()
}

func (r *reader) duration() time.Duration { return time.Duration(r.int()) }

func (r *reader) head() *Entry {
	e := new(Entry)
	r.meta(&e.Meta)
	if n := r.count(1); n > 0 {
		e.Tags = make([]string, n)
		for i := range e.Tags {
			e.Tags[i] = r.string()
		}
	}
	e.Epoch = Epoch{Era: r.uint(), Seq: r.uint()}
	e.Fence = r.uint()
	e.Derivable = compress.Set(r.byte())
	if n := r.count(2); n > 0 {
		e.Representations = make([]Representation, n)
		for i := range e.Representations {
			r.representation(&e.Representations[i])
		}
	}
	return e
}

func (r *reader) meta(m *cachepolicy.Meta) {
	status, flags := r.uint(), r.uint()
	if status > 999 || flags > 1<<16-1 {
		r.fail()
	}
	m.Status, m.Flags = int(status), cachepolicy.Flags(flags)
	m.Born, m.Received = r.time(), r.time()
	m.Lifetime, m.StaleRevalid, m.StaleError, m.FillTime = r.duration(), r.duration(), r.duration(), r.duration()
	m.ETag = r.string()
	m.LastModified, m.Date = r.time(), r.time()
	m.Vary = cachepolicy.Vary(r.string())
	m.Language = r.string()
	m.Total = r.int()
	m.Spans = r.spans()
	m.Seq = r.uint()
}

func (r *reader) spans() []cachepolicy.Span {
	n := r.uint()
	if n == 0 {
		return nil
	}
	if n--; n > uint64(len(r.s)/2) {
		r.fail()
		return nil
	}
	spans := make([]cachepolicy.Span, n)
	for i := range spans {
		spans[i] = cachepolicy.Span{First: r.int(), Last: r.int()}
	}
	return spans
}

func (r *reader) representation(p *Representation) {
	b := r.byte()
	p.Coding, p.Best = compress.Coding(b&^bestBit), b&bestBit != 0
	if p.Coding > compress.Unknown {
		r.fail()
	}
	p.Head = r.string()
}

// decodeBodies fills in the bodies from data, which holds the lengths and then the bytes. Each
// representation gets memory of its own, so that it can be freed on its own.
func decodeBodies(list []Representation, data []byte) bool {
	segments, data, lengths, ok := measureBodies(list, data)
	if !ok {
		return false
	}
	views := make([][]byte, segments)
	for i := range list {
		n, size := binary.Uvarint(lengths)
		lengths = lengths[size:]
		if n == 0 {
			continue
		}
		b := &list[i].Body
		body := make([]byte, b.Size)
		data = data[copy(body, data):]
		b.Segments, views = views[:n:n], views[n:]
		for j := range b.Segments {
			n, size := binary.Uvarint(lengths)
			lengths = lengths[size:]
			b.Segments[j], body = body[:n:n], body[n:]
		}
	}
	return true
}

// measureBodies sets the sizes of the bodies, counts their segments, and splits data into bytes and
// lengths. ok is false if the lengths do not match the bytes.
func measureBodies(list []Representation, data []byte) (segments int, bytes, lengths []byte, ok bool) {
	bytes = data
	total := uint64(0)
	for i := range list {
		n, size := binary.Uvarint(bytes)
		if size <= 0 || n > uint64(len(bytes)-size) {
			return 0, nil, nil, false
		}
		bytes = bytes[size:]
		segments += int(n)
		for range n {
			length, size := binary.Uvarint(bytes)
			if size <= 0 || length > uint64(len(data)) {
				return 0, nil, nil, false
			}
			bytes = bytes[size:]
			list[i].Body.Size += int64(length) // can't overflow: data has fewer lengths than bytes, and no length exceeds its size
			total += length
		}
	}
	return segments, bytes, data, total == uint64(len(bytes))
}
