package shared

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/store"
)

// An object in Redis is one hash. Its field "i" is the index, its fields "v" + id are the variants. The index is
//
//	mark and version, 2 bytes
//	the tag of the key, 8 bytes: what a script compares to tell another key with the same hash
//	a record per variant, the newest first
//
// and a record, with big-endian numbers of fixed size,
//
//	 0  length of the record, 2 bytes
//	 2  id, 8 bytes: of the variant's Vary, the same for each response that takes its place
//	10  stamp, 8 bytes: of the very response
//	18  nonce, 4 bytes: in the names of the keys of its segments
//	22  number of segments, 2 bytes
//	24  fence, 4 + 4 bytes
//	32  when it is past its windows, 8 bytes, milliseconds since 1970
//	40  when it may be forgotten, 8 bytes
//	48  what Select looks at: Seq, 8 bytes; Date, 8 + 4 bytes; length of Vary, 2 bytes; Vary; Language
//	    xxhash64 of the tag and of all that, 8 bytes
//
// Scripts read records up to offset 48 and keep them whole, so that those who write and read them can check them.
const (
	indexField   = "i"
	variantField = "v"
	indexMark    = 'I'
	indexVersion = 1
	indexHead    = 2 + tagSize
	tagSize      = 8
	idSize       = 8
	offsetID     = 2
	offsetStamp  = 10
	offsetNonce  = 18
	offsetFacts  = 48
	offsetVary   = 70
	sumSize      = 8
	minRecord    = offsetVary + sumSize
	maxSegments  = math.MaxUint16
)

// record is what the index says of a variant.
type record struct {
	id       [idSize]byte
	stamp    uint64
	nonce    uint32
	segments int
	meta     cachepolicy.Meta // with what Select looks at, and no more
}

// Facts is what Select looks at.
func (r *record) Facts() *cachepolicy.Meta { return &r.meta }

func (r *record) field() string { return variantField + string(r.id[:]) }

// tagOf is what stands for the whole key in the index.
func tagOf(k cachepolicy.Key) (tag [tagSize]byte) {
	binary.BigEndian.PutUint64(tag[:], xxhash.Sum64String(k.Full))
	return tag
}

// idOf names the variant with that Vary within an object. Should two have one id, each takes the other's place and neither is taken for it.
func idOf(v cachepolicy.Vary) (id [idSize]byte) {
	binary.BigEndian.PutUint64(id[:], xxhash.Sum64String(string(v)))
	return id
}

// appendRecord appends the record of e.
func appendRecord(dst []byte, tag [tagSize]byte, e *store.Entry, nonce uint32, segments int) ([]byte, error) {
	start := len(dst)
	id := idOf(e.Vary)
	dst = append(dst, 0, 0)
	dst = append(dst, id[:]...)
	dst = binary.BigEndian.AppendUint64(dst, store.Stamp(e))
	dst = binary.BigEndian.AppendUint32(dst, nonce)
	dst = binary.BigEndian.AppendUint16(dst, uint16(segments))
	dst = binary.BigEndian.AppendUint64(dst, e.Fence)
	dst = binary.BigEndian.AppendUint64(dst, milliseconds(e.Over()))
	dst = binary.BigEndian.AppendUint64(dst, milliseconds(e.Expiry()))
	dst = binary.BigEndian.AppendUint64(dst, e.Seq)
	dst = binary.BigEndian.AppendUint64(dst, uint64(e.Date.Unix()))
	dst = binary.BigEndian.AppendUint32(dst, uint32(e.Date.Nanosecond()))
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(e.Vary)))
	dst = append(dst, e.Vary...)
	dst = append(dst, e.Language...)
	size := len(dst) - start + sumSize
	if size > math.MaxUint16 || segments > maxSegments {
		return dst[:start], fmt.Errorf("%w: %d bytes of what it varies on, %d segments", store.ErrTooLarge, len(e.Vary), segments)
	}
	binary.BigEndian.PutUint16(dst[start:], uint16(size))
	return binary.BigEndian.AppendUint64(dst, recordSum(tag, string(dst[start:]))), nil
}

// milliseconds counts from 1970, and has no number before that.
func milliseconds(t time.Time) uint64 { return uint64(max(0, t.UnixMilli())) }

func recordSum(tag [tagSize]byte, body string) uint64 {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.Write(tag[:]) // never fails
	_, _ = d.WriteString(body)
	return d.Sum64()
}

// parseIndex reads the index of k's object. The error is ErrDamaged or ErrOtherKey.
func parseIndex(k cachepolicy.Key, s string) ([]*record, error) {
	if len(s) < indexHead || s[0] != indexMark || s[1] != indexVersion {
		return nil, fmt.Errorf("%w: no index of version %d", store.ErrDamaged, indexVersion)
	}
	tag := tagOf(k)
	if s[2:indexHead] != string(tag[:]) {
		return nil, store.ErrOtherKey
	}
	s = s[indexHead:]
	list := make([]*record, 0, 1)
	for s != "" {
		if len(s) < minRecord {
			return nil, fmt.Errorf("%w: the index is cut short", store.ErrDamaged)
		}
		n := int(uint16At(s, 0))
		if n < minRecord || n > len(s) || uint64At(s, n-sumSize) != recordSum(tag, s[:n-sumSize]) {
			return nil, fmt.Errorf("%w: a checksum of the index does not fit", store.ErrDamaged)
		}
		r, ok := parseRecord(s[:n-sumSize])
		if !ok {
			return nil, fmt.Errorf("%w: malformed index", store.ErrDamaged)
		}
		list = append(list, r)
		s = s[n:]
	}
	return list, nil
}

// parseRecord reads a record that has been checked, without its sum.
func parseRecord(s string) (*record, bool) {
	vary := int(uint16At(s, offsetVary-2))
	if vary > len(s)-offsetVary {
		return nil, false
	}
	r := &record{
		stamp: uint64At(s, offsetStamp), nonce: uint32At(s, offsetNonce), segments: int(uint16At(s, offsetNonce+4)),
		meta: cachepolicy.Meta{
			Seq:      uint64At(s, offsetFacts),
			Date:     time.Unix(int64(uint64At(s, offsetFacts+8)), int64(uint32At(s, offsetFacts+16))).UTC(),
			Vary:     cachepolicy.Vary(s[offsetVary : offsetVary+vary]),
			Language: s[offsetVary+vary:],
		},
	}
	copy(r.id[:], s[offsetID:])
	return r, true
}

// These are encoding/binary's for strings, which copy nothing.
func uint16At(s string, i int) uint16 { return uint16(s[i])<<8 | uint16(s[i+1]) }
func uint32At(s string, i int) uint32 { return uint32(uint16At(s, i))<<16 | uint32(uint16At(s, i+2)) }
func uint64At(s string, i int) uint64 { return uint64(uint32At(s, i))<<32 | uint64(uint32At(s, i+4)) }
