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

// The value of a variant is one byte for the form, followed by the content:
//
//	whole   the encoded entry
//	packed  length of the entry, 4 bytes; the encoded entry without bodies;
//	        number of segments, 4 bytes; for each segment its length, 4 bytes, and its xxhash64, 8 bytes;
//	        for each representation whether its body is compressed, 1 byte, its stored size and its real size, 8 bytes each;
//	        the bodies in sequence, unless they are in segments; xxhash64 of everything before, 8 bytes
//
// The packed form is used if bodies are compressed, in segments, or both.
const (
	formWhole  = 0
	formPacked = 1

	inlineMax   = 128 << 10    // maximum bytes of bodies in the value itself
	segmentSize = 256<<10 - 64 // with Redis's overhead it fills an allocation of 256 KiB
	compressMin = 1 << 10      // smaller bodies gain little from compression
	worthwhile  = 8            // divisor: compression must save at least this fraction
	maxBody     = 1 << 30      // limit of a compressed body's real size
	maxTrusted  = 8 << 20      // limit of the buffer that is allocated on the word of a value

	segmentEntry        = 4 + 8
	representationEntry = 1 + 8 + 8
)

// value is the encoded form of an entry in Redis.
type value struct {
	data     []byte   // content of the variant's field
	segments [][]byte // content of the segment keys
}

// size returns the number of bytes that are sent.
func (v *value) size() (n int) {
	n = len(v.data)
	for _, s := range v.segments {
		n += len(s)
	}
	return n
}

// pack encodes e. If compressible is true, bodies without a content coding are compressed.
func pack(k cachepolicy.Key, e *store.Entry, compressible bool) (value, error) {
	bodies := make([]packedBody, len(e.Representations))
	total, plain := int64(0), true
	for i := range e.Representations {
		bodies[i] = packBody(&e.Representations[i], compressible)
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

// bareEntry returns e without bodies.
func bareEntry(e *store.Entry) *store.Entry {
	bare := &store.Entry{
		Meta: e.Meta, Tags: e.Tags, Epoch: e.Epoch, Fence: e.Fence, Derivable: e.Derivable, Representations: slices.Clone(e.Representations),
	}
	for i := range bare.Representations {
		bare.Representations[i].Body = store.Body{}
	}
	return bare
}

// packedBody is the body of a representation in its stored form.
type packedBody struct {
	compressed bool
	stored     store.Body
	size       int64 // real size of the body
}

// sound reports whether the sizes are possible.
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

// packBody compresses a body that has no content coding, if that saves enough.
func packBody(r *store.Representation, compressible bool) packedBody {
	b := packedBody{stored: r.Body, size: r.Body.Size}
	if !compressible || r.Coding != compress.Identity || b.size < compressMin {
		return b
	}
	small, err := compress.Encode(nil, compress.Zstd, 1, r.Body.Segments)
	if err != nil || int64(len(small)) > b.size-b.size/worthwhile {
		return b // stored uncompressed
	}
	return packedBody{compressed: true, stored: store.NewBody(small), size: b.size}
}

// cutSegments joins the bodies and cuts the bytes into segments.
func cutSegments(bodies []packedBody, total int64) [][]byte {
	all := make([]byte, 0, total)
	for _, b := range bodies {
		for _, s := range b.stored.Segments {
			all = append(all, s...)
		}
	}
	return slices.Collect(slices.Chunk(all, segmentSize))
}

// packedValue is a decoded value in packed form. Its entry may still lack the bodies.
type packedValue struct {
	entry    *store.Entry
	segments []segment
	bodies   []packedBody
	rest     string // the bodies, unless they are in segments
}

// segment describes one segment.
type segment struct {
	size int
	sum  uint64
}

// unpack decodes a value. If it also returns a packedValue, the bodies are in segments and the
// entry lacks them until fill is called.
func unpack(k cachepolicy.Key, s string) (*store.Entry, *packedValue, error) {
	if s == "" {
		return nil, nil, fmt.Errorf("%w: empty", store.ErrDamaged)
	}
	if s[0] == formWhole {
		e, err := decodeEntry(k, view(s[1:]))
		return e, nil, err
	}
	p, err := openPacked(k, s)
	if err != nil {
		return nil, nil, err
	}
	if p.segments != nil {
		return p.entry, p, nil
	}
	return p.entry, nil, p.fill([]string{p.rest})
}

// view returns the bytes of s without a copy. The caller must not change them.
func view(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

func openPacked(k cachepolicy.Key, s string) (*packedValue, error) {
	if len(s) < 5+4+sumSize || s[0] != formPacked {
		return nil, fmt.Errorf("%w: not a value of this version", store.ErrDamaged)
	}
	end := len(s) - sumSize
	if xxhash.Sum64String(s[:end]) != uint64At(s, end) {
		return nil, fmt.Errorf("%w: checksum mismatch", store.ErrDamaged)
	}
	n := uint64(uint32At(s, 1))
	s = s[5:end]
	if n+4 > uint64(len(s)) {
		return nil, fmt.Errorf("%w: the entry is truncated", store.ErrDamaged)
	}
	e, err := decodeEntry(k, view(s[:n]))
	if err != nil {
		return nil, err
	}
	p := &packedValue{entry: e}
	if !p.table(s[n:]) {
		return nil, fmt.Errorf("%w: malformed table of bodies", store.ErrDamaged)
	}
	return p, nil
}

// table decodes the tables of segments and bodies.
func (p *packedValue) table(s string) bool {
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

// fill sets the entry's bodies from the pieces that hold them.
func (p *packedValue) fill(pieces []string) error {
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

// restore returns the body that was packed into segments, in memory of its own.
func (b packedBody) restore(segments [][]byte) (store.Body, error) {
	if !b.compressed {
		if b.size == 0 {
			return store.Body{}, nil
		}
		return store.NewBody(slices.Concat(segments...)), nil
	}
	// The decoder needs some room beyond the end of the body to detect that end.
	const room = 512
	plain, err := compress.Decode(make([]byte, 0, min(b.size, maxTrusted)+room), compress.Zstd, segments, compress.Limit{Bytes: b.size, Ratio: -1})
	if err != nil || int64(len(plain)) != b.size {
		return store.Body{}, fmt.Errorf("%w: decompressing a body: %v", store.ErrDamaged, err)
	}
	return store.NewBody(plain[:b.size:b.size]), nil
}

// decodeEntry decodes an entry for this instance. It clears the low bits of the epoch, which count
// purges that only the storing instance knew. This instance counts its own purges in the same bits,
// and would take the response for newer than its own purges.
func decodeEntry(k cachepolicy.Key, data []byte) (*store.Entry, error) {
	e, err := store.DecodeEntry(k, data)
	if err == nil {
		e.Epoch = store.FleetEpoch(e.Epoch.Era, e.Epoch.Fleet())
	}
	return e, err
}
