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

// An object in Redis is one hash. Its field "i" is the index, its fields "v" + id are the variants.
// The index is
//
//	mark and version, 2 bytes
//	the tag of the key, 8 bytes: lets a script detect another key with the same hash
//	a record per variant, the newest first
//
// and a record, with big-endian numbers of fixed size,
//
//	 0  length of the record, 2 bytes
//	 2  id, 8 bytes: of the variant's Vary, equal for all responses that replace each other
//	10  stamp, 8 bytes: of this response
//	18  nonce, 4 bytes: in the names of the keys of its segments
//	22  number of segments, 2 bytes
//	24  fence, 4 + 4 bytes
//	32  end of its windows, 8 bytes, milliseconds since 1970
//	40  expiry, 8 bytes, milliseconds since 1970
//	48  input of Select: Seq, 8 bytes; Date, 8 + 4 bytes; length of Vary, 2 bytes; Vary; Language
//	    xxhash64 of the tag and everything before, 8 bytes
//
// Scripts parse records up to offset 48 and copy them as a whole, so that the instances can verify
// them.
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

// record is a variant's entry in the index.
type record struct {
	id       [idSize]byte
	stamp    uint64
	nonce    uint32
	segments int
	meta     cachepolicy.Meta // only the fields that Select reads
}

// Facts returns the fields that Select reads.
func (r *record) Facts() *cachepolicy.Meta { return &r.meta }

func (r *record) field() string { return variantField + string(r.id[:]) }

// tagOf returns a hash of the whole key, which stands for the key in the index.
func tagOf(k cachepolicy.Key) (tag [tagSize]byte) {
	binary.BigEndian.PutUint64(tag[:], xxhash.Sum64String(k.Full))
	return tag
}

// idOf returns the identifier of the variant with that Vary within an object. If two Vary values
// have the same id, each variant replaces the other, and a lookup never confuses them.
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
		return dst[:start], fmt.Errorf("%w: a Vary of %d bytes, %d segments", store.ErrTooLarge, len(e.Vary), segments)
	}
	binary.BigEndian.PutUint16(dst[start:], uint16(size))
	return binary.BigEndian.AppendUint64(dst, recordSum(tag, string(dst[start:]))), nil
}

// milliseconds returns the milliseconds since 1970, and 0 for an earlier time.
func milliseconds(t time.Time) uint64 { return uint64(max(0, t.UnixMilli())) }

func recordSum(tag [tagSize]byte, body string) uint64 {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.Write(tag[:]) // never fails
	_, _ = d.WriteString(body)
	return d.Sum64()
}

// parseIndex decodes the index of k's object. The error is ErrDamaged or ErrOtherKey.
func parseIndex(k cachepolicy.Key, s string) ([]*record, error) {
	if len(s) < indexHead || s[0] != indexMark || s[1] != indexVersion {
		return nil, fmt.Errorf("%w: not an index of version %d", store.ErrDamaged, indexVersion)
	}
	tag := tagOf(k)
	if s[2:indexHead] != string(tag[:]) {
		return nil, store.ErrOtherKey
	}
	s = s[indexHead:]
	list := make([]*record, 0, 1)
	for s != "" {
		if len(s) < minRecord {
			return nil, fmt.Errorf("%w: the index is truncated", store.ErrDamaged)
		}
		n := int(uint16At(s, 0))
		if n < minRecord || n > len(s) || uint64At(s, n-sumSize) != recordSum(tag, s[:n-sumSize]) {
			return nil, fmt.Errorf("%w: checksum mismatch in the index", store.ErrDamaged)
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

// parseRecord decodes a record whose checksum has been verified and cut off.
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

// These are the functions of encoding/binary for strings, without a copy.
func uint16At(s string, i int) uint16 { return uint16(s[i])<<8 | uint16(s[i+1]) }
func uint32At(s string, i int) uint32 { return uint32(uint16At(s, i))<<16 | uint32(uint16At(s, i+2)) }
func uint64At(s string, i int) uint64 { return uint64(uint32At(s, i))<<32 | uint64(uint32At(s, i+4)) }
