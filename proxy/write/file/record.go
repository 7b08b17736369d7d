package file

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/penstock/penstock/proxy/write"
)

// Each record can be recognised even if everything around it is damaged: it has a mark, its kind,
// its length and a checksum. Its content is masked with random bytes. Otherwise a client could put
// such a record into the body of its write, and salvage would take it for one of the queue's.
//
// Records of earlier versions have no frame. They are read as they are, and get a frame when they
// are next written.
const (
	frameMark = "PSQ\x02"
	maskSize  = 8
	frameHead = len(frameMark) + maskSize + 1 + 4
	frameTail = 4
)

// kind is the kind of a record.
type kind byte

const (
	kindWrite   kind = 'w' // place at acceptance, write as accepted
	kindOutline kind = 'l' // the same, with the outline of an ended write
	kindState   kind = 's' // stateRecord
	kindOrder   kind = 'o' // place, ID
	kindKey     kind = 'k' // digest of the Idempotency-Key, digest of the payload, ID
	kindDead    kind = 'd' // time, ID
	kindEnded   kind = 'e' // time, phase, ID
)

var checksums = crc32.MakeTable(crc32.Castagnoli)

// seal encodes a record.
func seal(k kind, payload ...[]byte) []byte {
	n := 0
	for _, p := range payload {
		n += len(p)
	}
	b := make([]byte, len(frameMark)+maskSize, frameHead+n+frameTail)
	copy(b, frameMark)
	_, _ = rand.Read(b[len(frameMark):]) // never fails
	b = append(b, byte(k))
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	for _, p := range payload {
		b = append(b, p...)
	}
	mask(b[frameHead:], b[len(frameMark):])
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, checksums))
}

// mask masks b, or removes the mask.
func mask(b, with []byte) {
	for i := range b {
		b[i] ^= with[i%maskSize]
	}
}

// framed reports whether a value is a record of this version, sound or damaged.
func framed(b []byte) bool { return bytes.HasPrefix(b, []byte(frameMark)) }

// unseal decodes the record b, without changing it.
func unseal(b []byte) (kind, []byte, error) {
	if len(b) < frameHead+frameTail || !framed(b) {
		return 0, nil, fmt.Errorf("%w: not a record", write.ErrDamaged)
	}
	content, sum := b[:len(b)-frameTail], binary.BigEndian.Uint32(b[len(b)-frameTail:])
	if uint64(binary.BigEndian.Uint32(b[frameHead-4:])) != uint64(len(content)-frameHead) || crc32.Checksum(content, checksums) != sum {
		return 0, nil, fmt.Errorf("%w: checksum mismatch", write.ErrDamaged)
	}
	payload := bytes.Clone(content[frameHead:])
	mask(payload, b[len(frameMark):])
	return kind(b[frameHead-5]), payload, nil
}

// stateRecord is the stored form of a write's state.
type stateRecord struct {
	id string
	// revision is the number of the transaction that wrote the record. If a write has two records,
	// the one with the greater number is valid. 0 means that an earlier version wrote it.
	revision uint64
	place    uint64 // of the write in the order; 0 if an earlier version wrote the record
	// lowest is a place below which no write is pending any more.
	lowest uint64
	state  write.State
}

func sealState(r *stateRecord) ([]byte, error) {
	state, err := json.Marshal(r.state)
	if err != nil {
		return nil, err
	}
	return seal(kindState, key(r.revision), key(r.place), key(r.lowest), []byte{byte(len(r.id))}, []byte(r.id), state), nil
}

func readState(payload []byte) (r stateRecord, err error) {
	const fixed = 3*8 + 1
	if len(payload) < fixed || len(payload) < fixed+int(payload[fixed-1]) {
		return r, fmt.Errorf("%w: a state is too short", write.ErrDamaged)
	}
	r.revision, r.place, r.lowest = binary.BigEndian.Uint64(payload), binary.BigEndian.Uint64(payload[8:]), binary.BigEndian.Uint64(payload[16:])
	end := fixed + int(payload[fixed-1])
	r.id = string(payload[fixed:end])
	if err := json.Unmarshal(payload[end:], &r.state); err != nil {
		return r, fmt.Errorf("%w: %w", write.ErrDamaged, err)
	}
	return r, nil
}

// writeOf decodes a value of the bucket of writes.
func writeOf(id, value []byte) (w *write.Write, place uint64, ended bool, err error) {
	if !framed(value) {
		if w, err = write.Decode(value); err == nil {
			ended = w.Header == nil && w.Body == nil
		}
	} else {
		var k kind
		var payload []byte
		if k, payload, err = unseal(value); err != nil {
			return nil, 0, false, err
		}
		if len(payload) < 8 || k != kindWrite && k != kindOutline {
			return nil, 0, false, fmt.Errorf("%w: not a write", write.ErrDamaged)
		}
		place, ended = binary.BigEndian.Uint64(payload), k == kindOutline
		w, err = write.Decode(payload[8:])
	}
	if err == nil && w.ID != string(id) {
		err = fmt.Errorf("%w: it is write %.40s", write.ErrDamaged, w.ID)
	}
	return w, place, ended, err
}

// stateOf decodes a value of the bucket of states.
func stateOf(id, value []byte) (r stateRecord, err error) {
	if !framed(value) {
		r.id = string(id)
		if err := json.Unmarshal(value, &r.state); err != nil || r.state.Phase == "" {
			return r, fmt.Errorf("%w: a state can't be read", write.ErrDamaged)
		}
		return r, nil
	}
	k, payload, err := unseal(value)
	if err != nil {
		return r, err
	}
	if r, err = readState(payload); err != nil {
		return r, err
	}
	if k != kindState || r.id != string(id) {
		return r, fmt.Errorf("%w: it is not the state of this write", write.ErrDamaged)
	}
	return r, nil
}

// orderOf decodes a value of the bucket of the order. It returns the ID of the write in that place.
func orderOf(place, value []byte) (id string, err error) {
	if len(place) != 8 {
		return "", fmt.Errorf("%w: a place can't be read", write.ErrDamaged)
	}
	if !framed(value) {
		if !write.IsID(string(value)) {
			return "", fmt.Errorf("%w: a place holds no ID", write.ErrDamaged)
		}
		return string(value), nil
	}
	k, payload, err := unseal(value)
	if err != nil {
		return "", err
	}
	if k != kindOrder || len(payload) < 8 || !bytes.Equal(payload[:8], place) {
		return "", fmt.Errorf("%w: it is not the record of this place", write.ErrDamaged)
	}
	return string(payload[8:]), nil
}

// keyOf decodes a value of the bucket of Idempotency-Keys.
func keyOf(digest, value []byte) (id string, print []byte, err error) {
	const n = len(write.Digest{})
	if !framed(value) {
		if len(value) < n || !write.IsID(string(value[:len(value)-n])) {
			return "", nil, fmt.Errorf("%w: an Idempotency-Key can't be read", write.ErrDamaged)
		}
		return string(value[:len(value)-n]), value[len(value)-n:], nil
	}
	k, payload, err := unseal(value)
	if err != nil {
		return "", nil, err
	}
	if k != kindKey || len(payload) < 2*n || !bytes.Equal(payload[:n], digest) {
		return "", nil, fmt.Errorf("%w: it is not the record of this Idempotency-Key", write.ErrDamaged)
	}
	return string(payload[2*n:]), payload[n : 2*n], nil
}

// timedOf checks a record with a time and an ID: a dead letter, or the expiry of an outline.
func timedOf(want kind, timed, value []byte) error {
	if len(timed) < 8 {
		return fmt.Errorf("%w: a time can't be read", write.ErrDamaged)
	}
	if bytes.Equal(value, present) {
		return nil // of an earlier version
	}
	k, payload, err := unseal(value)
	if err != nil {
		return err
	}
	at, id, _, err := readTimed(k, payload)
	if err != nil || k != want || !bytes.Equal(append(key(at), id...), timed) {
		return fmt.Errorf("%w: it is not the record of this time", write.ErrDamaged)
	}
	return nil
}

// readTimed decodes a record of kindDead or kindEnded.
func readTimed(k kind, payload []byte) (at uint64, id string, phase write.Phase, err error) {
	if len(payload) < 8 || k == kindEnded && (len(payload) < 9 || len(payload) < 9+int(payload[8])) {
		return 0, "", "", fmt.Errorf("%w: a time can't be read", write.ErrDamaged)
	}
	at = binary.BigEndian.Uint64(payload)
	if k == kindEnded {
		end := 9 + int(payload[8])
		return at, string(payload[end:]), write.Phase(payload[9:end]), nil
	}
	return at, string(payload[8:]), "", nil
}

func sealDead(at time.Time, id string) []byte {
	return seal(kindDead, timed(at, id))
}

func sealEnded(until time.Time, id string, phase write.Phase) []byte {
	return seal(kindEnded, key(uint64(max(0, until.UnixNano()))), []byte{byte(len(phase))}, []byte(phase), []byte(id))
}
