package write

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"net/http"
	"time"
)

// magic begins every encoded write. Its last byte is the version.
const magic = "PSW\x01"

var table = crc32.MakeTable(crc32.Castagnoli)

// meta holds all properties of a write except its body, in the stored form.
type meta struct {
	ID         string      `json:"id"`
	Route      string      `json:"route"`
	Method     string      `json:"method"`
	Scheme     string      `json:"scheme"`
	Host       string      `json:"host"`
	Path       string      `json:"path"`
	Query      string      `json:"query,omitempty"`
	Header     http.Header `json:"header,omitempty"`
	Accepted   time.Time   `json:"accepted"`
	Retries    int         `json:"retries"`
	Backoff    int64       `json:"backoff"`
	MaxBackoff int64       `json:"max_backoff"`
	DeadLetter bool        `json:"dead_letter,omitempty"`
	Key        []byte      `json:"key,omitempty"`
	Print      []byte      `json:"print,omitempty"`
	Seen       string      `json:"seen,omitempty"`
	Order      string      `json:"order,omitempty"`
	RetryOn    []int       `json:"retry_on,omitempty"`
	Who        []byte      `json:"who,omitempty"`
}

// Encode returns the stored form of w: the properties as JSON, the body unchanged, and a checksum.
func (w *Write) Encode() ([]byte, error) {
	head, err := json.Marshal(meta{
		w.ID, w.Route, w.Method, w.Scheme, w.Host, w.Path, w.Query, w.Header, w.Accepted, w.Policy.Retries, int64(w.Policy.Backoff),
		int64(w.Policy.MaxBackoff), w.Policy.DeadLetter, w.Key.bytes(), w.Print.bytes(), w.Seen, w.Order, w.Policy.RetryOn, w.Who.bytes(),
	})
	if err != nil {
		return nil, fmt.Errorf("write: encoding: %w", err)
	}
	b := make([]byte, 0, len(magic)+8+len(head)+len(w.Body))
	b = append(b, magic...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(head)))
	b = append(b, head...)
	b = append(b, w.Body...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, table)), nil
}

// Decode decodes the stored form. The write does not refer to b. The error is ErrDamaged.
func Decode(b []byte) (*Write, error) {
	const fixed = len(magic) + 4
	if len(b) < fixed+4 || string(b[:len(magic)]) != magic {
		return nil, ErrDamaged
	}
	content, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	n := binary.BigEndian.Uint32(b[len(magic):])
	if crc32.Checksum(content, table) != sum || uint64(n) > uint64(len(content)-fixed) {
		return nil, ErrDamaged
	}
	var m meta
	if err := json.Unmarshal(content[fixed:fixed+int(n)], &m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	w := &Write{
		ID: m.ID, Route: m.Route, Method: m.Method, Scheme: m.Scheme, Host: m.Host, Path: m.Path, Query: m.Query, Header: m.Header, Accepted: m.Accepted,
		Policy: Policy{m.Retries, time.Duration(m.Backoff), time.Duration(m.MaxBackoff), m.DeadLetter, m.RetryOn}, Seen: m.Seen, Order: m.Order,
	}
	copy(w.Key[:], m.Key)
	copy(w.Print[:], m.Print)
	copy(w.Who[:], m.Who)
	if body := content[fixed+int(n):]; len(body) > 0 {
		w.Body = append([]byte(nil), body...)
	}
	return w, nil
}

func (d Digest) bytes() []byte {
	if d.IsZero() {
		return nil
	}
	return d[:]
}
