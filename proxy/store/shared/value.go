package shared

import (
	"encoding/binary"
	"fmt"
	"slices"
	"unsafe"

	"github.com/cespare/xxhash/v2"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/store"
)

// The value of a variant is a byte that says which of two forms it has, and then
//
//	whole   the encoded entry
//	packed  length of the entry, 4 bytes; the encoded entry without bodies;
//	        number of segments, 4 bytes; of each its length, 4 bytes, and its xxhash64, 8 bytes;
//	        of each representation whether its body is compressed, 1 byte, how many bytes it takes here and how many it has, 8 bytes each;
//	        the bodies one after the other, unless they are in segments; xxhash64 of all that, 8 bytes
//
// Packed are entries whose bodies are compressed or in segments, or both.
const (
	formWhole  = 0
	formPacked = 1

	inlineMax   = 128 << 10    // bytes of bodies that are kept in the value itself
	segmentSize = 256<<10 - 64 // with what Redis puts around it, it fills an allocation of 256 KiB
	compressMin = 1 << 10      // smaller bodies are hardly smaller when compressed
	worthwhile  = 8            // a compressed body must save one part in so many
	maxBody     = 1 << 30      // of one that is compressed
	maxTrusted  = 8 << 20      // bytes that are made room for because a value says so

	segmentEntry        = 4 + 8
	representationEntry = 1 + 8 + 8
)

// value is an entry as it goes to Redis.
type value struct {
	data     []byte   // of the variant's field
	segments [][]byte // of keys of their own
}

// size is how many bytes go over the wire.
func (v *value) size() (n int) {
	n = len(v.data)
	for _, s := range v.segments {
		n += len(s)
	}
	return n
}

// pack makes the value of e.
func pack(k cachepolicy.Key, e *store.Entry, squeeze bool) (value, error) {
	bodies := make([]packedBody, len(e.Representations))
	total, plain := int64(0), true
	for i := range e.Representations {
		bodies[i] = packBody(&e.Representations[i], squeeze)
		total += bodies[i].stored.Size
		plain = plain && !bodies[i].compressed
	}
	if plain && total <= inlineMax {
		data, err := store.AppendEntry(append(make([]byte, 0, 1+store.EncodedSize(k, e)), formWhole), k, e)
		return value{data: data}, err
	}
	bare := bareEntry(e)
	data := make([]byte, 5, 5+store.EncodedSize(k, bare)+int(min(total, inlineMax))+64*len(bodies))
	data[0] = formPacked
	data, err := store.AppendEntry(data, k, bare)
	if err != nil {
		return value{}, err
	}
	binary.BigEndian.PutUint32(data[1:], uint32(len(data)-5))
	var v value
	if total > inlineMax {
		v.segments = cutSegments(bodies, total)
	}
	data = binary.BigEndian.AppendUint32(data, uint32(len(v.segments)))
	for _, s := range v.segments {
		data = binary.BigEndian.AppendUint32(data, uint32(len(s)))
		data = binary.BigEndian.AppendUint64(data, xxhash.Sum64(s))
	}
	for _, b := range bodies {
		data = b.append(data)
	}
	if v.segments == nil {
		for _, b := range bodies {
			for _, s := range b.stored.Segments {
				data = append(data, s...)
			}
		}
	}
	v.data = binary.BigEndian.AppendUint64(data, xxhash.Sum64(data))
	return v, nil
}

// bareEntry is e without bodies.
func bareEntry(e *store.Entry) *store.Entry {
	bare := &store.Entry{
		Meta: e.Meta, Tags: e.Tags, Epoch: e.Epoch, Fence: e.Fence, Derivable: e.Derivable, Representations: slices.Clone(e.Representations),
	}
	for i := range bare.Representations {
		bare.Representations[i].Body = store.Body{}
	}
	return bare
}

// packedBody is the body of a representation as it is kept in Redis.
type packedBody struct {
	compressed bool
	stored     store.Body
	size       int64 // of the body itself
}

// sound reports whether the sizes may be those of a body.
func (b packedBody) sound() bool {
	if b.compressed {
		return b.size > 0 && b.size <= maxBody
	}
	return b.size == b.stored.Size
}

func (b packedBody) append(dst []byte) []byte {
	if b.compressed {
		dst = append(dst, 1)
	} else {
		dst = append(dst, 0)
	}
	dst = binary.BigEndian.AppendUint64(dst, uint64(b.stored.Size))
	return binary.BigEndian.AppendUint64(dst, uint64(b.size))
}

// packBody compresses a body that has no content coding, where that saves something.
func packBody(r *store.Representation, squeeze bool) packedBody {
	b := packedBody{stored: r.Body, size: r.Body.Size}
	if !squeeze || r.Coding != compress.Identity || b.size < compressMin {
		return b
	}
	small, err := compress.Encode(nil, compress.Zstd, 1, r.Body.Segments)
	if err != nil || int64(len(small)) > b.size-b.size/worthwhile {
		return b // as it is
	}
	return packedBody{compressed: true, stored: store.NewBody(small), size: b.size}
}

// cutSegments cuts the bodies, taken as one sequence of bytes, into segments.
func cutSegments(bodies []packedBody, total int64) [][]byte {
	all := make([]byte, 0, total)
	for _, b := range bodies {
		for _, s := range b.stored.Segments {
			all = append(all, s...)
		}
	}
	return slices.Collect(slices.Chunk(all, segmentSize))
}

// parcel is a value in packed form that has been read, up to what its segments hold.
type parcel struct {
	entry    *store.Entry
	segments []segment
	bodies   []packedBody
	rest     string // what follows: the bodies, unless there are segments
}

// segment is what the value says of one.
type segment struct {
	size int
	sum  uint64
}

// unpack reads a value. With a parcel whose segments are not nil, the entry lacks its bodies.
func unpack(k cachepolicy.Key, s string) (*store.Entry, *parcel, error) {
	if s == "" {
		return nil, nil, fmt.Errorf("%w: empty", store.ErrDamaged)
	}
	if s[0] == formWhole {
		e, err := store.DecodeEntry(k, view(s[1:]))
		return e, nil, err
	}
	p, err := openParcel(k, s)
	if err != nil {
		return nil, nil, err
	}
	if p.segments != nil {
		return p.entry, p, nil
	}
	return p.entry, nil, p.fill([]string{p.rest})
}

// view is s as bytes that must not be changed, nor kept where s is not.
func view(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

func openParcel(k cachepolicy.Key, s string) (*parcel, error) {
	if len(s) < 5+4+sumSize || s[0] != formPacked {
		return nil, fmt.Errorf("%w: no value of this version", store.ErrDamaged)
	}
	end := len(s) - sumSize
	if xxhash.Sum64String(s[:end]) != uint64At(s, end) {
		return nil, fmt.Errorf("%w: the checksum does not fit", store.ErrDamaged)
	}
	n := uint64(uint32At(s, 1))
	s = s[5:end]
	if n+4 > uint64(len(s)) {
		return nil, fmt.Errorf("%w: the entry is cut short", store.ErrDamaged)
	}
	e, err := store.DecodeEntry(k, view(s[:n]))
	if err != nil {
		return nil, err
	}
	p := &parcel{entry: e}
	if !p.table(s[n:]) {
		return nil, fmt.Errorf("%w: malformed table of bodies", store.ErrDamaged)
	}
	return p, nil
}

// table reads the tables of segments and bodies.
func (p *parcel) table(s string) bool {
	n := int(uint32At(s, 0))
	s = s[4:]
	if n > maxSegments || n*segmentEntry+len(p.entry.Representations)*representationEntry > len(s) {
		return false
	}
	held := int64(0)
	for range n {
		p.segments = append(p.segments, segment{int(uint32At(s, 0)), uint64At(s, 4)})
		held += int64(uint32At(s, 0))
		s = s[segmentEntry:]
	}
	stored := int64(0)
	for range p.entry.Representations {
		b := packedBody{compressed: s[0] != 0, stored: store.Body{Size: int64(uint64At(s, 1))}, size: int64(uint64At(s, 9))}
		if b.stored.Size < 0 || stored > stored+b.stored.Size || !b.sound() {
			return false
		}
		stored += b.stored.Size
		p.bodies = append(p.bodies, b)
		s = s[representationEntry:]
	}
	p.rest = s
	if n == 0 {
		held = int64(len(s))
	}
	return held == stored
}

// fill gives the entry its bodies, from what holds them.
func (p *parcel) fill(pieces []string) error {
	var held store.Body
	for _, piece := range pieces {
		held.Segments = append(held.Segments, view(piece))
		held.Size += int64(len(piece))
	}
	offset := int64(0)
	for i, b := range p.bodies {
		segments := held.Slice(offset, b.stored.Size)
		offset += b.stored.Size
		body, err := b.restore(segments)
		if err != nil {
			return err
		}
		p.entry.Representations[i].Body = body
	}
	return nil
}

// restore is the body that was packed into segments, in memory of its own.
func (b packedBody) restore(segments [][]byte) (store.Body, error) {
	if !b.compressed {
		if b.size == 0 {
			return store.Body{}, nil
		}
		return store.NewBody(slices.Concat(segments...)), nil
	}
	// The room beyond the end is for the decoder to find the end.
	const room = 512
	plain, err := compress.Decode(make([]byte, 0, min(b.size, maxTrusted)+room), compress.Zstd, segments, compress.Limit{Bytes: b.size, Ratio: -1})
	if err != nil || int64(len(plain)) != b.size {
		return store.Body{}, fmt.Errorf("%w: a compressed body does not come back: %v", store.ErrDamaged, err)
	}
	return store.NewBody(plain[:b.size:b.size]), nil
}
