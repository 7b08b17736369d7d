package shared

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/store"
	"github.com/penstock/penstock/proxy/store/storetest"
	"github.com/penstock/penstock/test/redistest"
)

// stage is an object in Redis that a test damages.
type stage struct {
	*redistest.Server
	c            *Client
	k, other     cachepolicy.Key
	key, field   string
	otherKey     string
	index, value string
}

// set writes one field of the object behind the client's back.
func (s *stage) set(field, value string) { s.Must("HSET", s.key, field, value) }

// segments returns the keys of the object's segments.
func (s *stage) segments() []string { return s.Keys(s.key + ":") }

func flip(s string, bit int) string {
	b := []byte(s)
	b[bit/8] ^= 1 << (bit % 8)
	return string(b)
}

func TestDamageIsAMiss(t *testing.T) {
	s, c := start(t)
	id := idOf("")
	set := &stage{
		Server: s, c: c, k: storetest.Key("k"), other: storetest.Key("other"), field: variantField + string(id[:]),
		key: c.objectKey(storetest.Key("k")), otherKey: c.objectKey(storetest.Key("other")),
	}
	small, large := storetest.Entry("", "small"), storetest.Entry("", "")
	large.Representations[0].Body = store.NewBody(randomBytes(600 << 10))
	for _, test := range []struct {
		name   string
		e      *store.Entry
		damage func(*stage)
	}{
		{"value cut short", small, func(s *stage) { s.set(s.field, s.value[:len(s.value)-1]) }},
		{"value half there", small, func(s *stage) { s.set(s.field, s.value[:len(s.value)/2]) }},
		{"value empty", small, func(s *stage) { s.set(s.field, "") }},
		{"value with more", small, func(s *stage) { s.set(s.field, s.value+"x") }},
		{"value of an old version", small, func(s *stage) { s.set(s.field, s.value[:2]+"\x00"+s.value[3:]) }},
		{"value of an unknown form", small, func(s *stage) { s.set(s.field, "\x07"+s.value[1:]) }},
		{"value of another key", small, func(s *stage) { s.set(s.field, s.Must("HGET", s.otherKey, s.field).(string)) }},
		{"value of another variant", small, func(s *stage) {
			mustPut(t, s.c, s.k, storetest.Entry("v", "of another"))
			id := idOf("v")
			s.set(s.field, s.Must("HGET", s.key, variantField+string(id[:])).(string))
		}},
		{"value that was never written", small, func(s *stage) { s.Must("HDEL", s.key, s.field) }},
		{"index cut short", small, func(s *stage) { s.set(indexField, s.index[:len(s.index)-1]) }},
		{"index with more", small, func(s *stage) { s.set(indexField, s.index+"x") }},
		{"index of an old version", small, func(s *stage) { s.set(indexField, "I\x00"+s.index[2:]) }},
		{"index empty", small, func(s *stage) { s.set(indexField, "") }},
		{"no index", small, func(s *stage) { s.Must("HDEL", s.key, indexField) }},
		{"no hash", small, func(s *stage) { s.Must("SET", s.key, "x") }},
		{"packed value cut short", large, func(s *stage) { s.set(s.field, s.value[:len(s.value)-1]) }},
		{"packed value changed", large, func(s *stage) { s.set(s.field, flip(s.value, 8*len(s.value)-100)) }},
		{"segment missing", large, func(s *stage) { s.Must("DEL", s.segments()[0]) }},
		{"all segments missing", large, func(s *stage) { s.Must(append([]string{"DEL"}, s.segments()...)...) }},
		{"segment cut short", large, func(s *stage) { s.Must("SETRANGE", s.segments()[1], "999999", "x") }},
		{"segment changed", large, func(s *stage) { s.Must("SETBIT", s.segments()[1], "77777", s.bit(s.segments()[1], 77777)) }},
		{"segments exchanged", large, func(s *stage) {
			list := s.segments()
			s.Must("RENAME", list[0], "{x}")
			s.Must("RENAME", list[1], list[0])
			s.Must("RENAME", "{x}", list[1])
		}},
		{"segment of another type", large, func(s *stage) {
			name := s.segments()[0]
			s.Must("DEL", name)
			s.Must("LPUSH", name, "x")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.Must("FLUSHALL")
			mustPut(t, c, set.k, test.e)
			mustPut(t, c, set.other, storetest.Entry("", "of another"))
			set.index = s.Must("HGET", set.key, indexField).(string)
			set.value = s.Must("HGET", set.key, set.field).(string)
			if !sameBody(mustGet(t, c, set.k, request()), test.e) {
				t.Fatal("another body")
			}
			test.damage(set)
			wantMiss(t, c, set.k, request())
			if n := s.Must("EXISTS", set.key); n != int64(0) {
				t.Error("it has not been removed")
			}
			mustPut(t, c, set.k, test.e)
			if !sameBody(mustGet(t, c, set.k, request()), test.e) {
				t.Error("another body after it was stored again")
			}
			if h := c.Health(); h.State != Up || h.Err != nil {
				t.Errorf("health %+v: damage is not Redis's fault", h)
			}
		})
	}
}

// bit returns the other value of a bit.
func (s *stage) bit(key string, offset int) string {
	return fmt.Sprint(1 - s.Must("GETBIT", key, fmt.Sprint(offset)).(int64))
}

// TestEveryFlipIsFound checks that no single flipped bit in the stored bytes of an object changes a
// result.
func TestEveryFlipIsFound(t *testing.T) {
	k, q := storetest.Key("k"), request("X", "1")
	e := variant(t, q, strings.Repeat("body", 300), "X")
	e.Language = "de"
	for _, squeeze := range []bool{false, true} {
		v, err := pack(k, e, squeeze)
		if err != nil {
			t.Fatal(err)
		}
		data := string(v.data)
		if _, _, err := unpack(k, data); err != nil {
			t.Fatal(err)
		}
		for bit := range 8 * len(data) {
			if _, _, err := unpack(k, flip(data, bit)); !errors.Is(err, store.ErrDamaged) {
				t.Fatalf("compressed %v, bit %d of the value: %v", squeeze, bit, err)
			}
		}
	}
	index := indexOf(t, k, e)
	if list, err := parseIndex(k, index); err != nil || len(list) != 1 || list[0].meta.Vary != e.Vary {
		t.Fatal(list, err)
	}
	for bit := range 8 * len(index) {
		list, err := parseIndex(k, flip(index, bit))
		if inTag := bit/8 >= 2 && bit/8 < indexHead; inTag && errors.Is(err, store.ErrOtherKey) {
			continue // indistinguishable from another key with the same hash
		}
		if !errors.Is(err, store.ErrDamaged) {
			t.Fatalf("bit %d of the index: %v, %v", bit, list, err)
		}
	}
}

func indexOf(t testing.TB, k cachepolicy.Key, entries ...*store.Entry) string {
	t.Helper()
	tag := tagOf(k)
	index := append([]byte{indexMark, indexVersion}, tag[:]...)
	for _, e := range entries {
		var err error
		if index, err = appendRecord(index, tag, e, 1, 0); err != nil {
			t.Fatal(err)
		}
	}
	return string(index)
}

func FuzzUnpack(f *testing.F) {
	k := storetest.Key("k")
	e := storetest.Entry("", strings.Repeat("body", 300))
	for _, squeeze := range []bool{false, true} {
		v, err := pack(k, e, squeeze)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(v.data))
	}
	f.Fuzz(func(t *testing.T, s string) {
		if _, _, err := unpack(k, s); err != nil && !errors.Is(err, store.ErrDamaged) && !errors.Is(err, store.ErrOtherKey) {
			t.Fatal(err)
		}
		p := &packedValue{entry: e} // as if the checksums matched
		if len(s) >= 4 && p.table(s) && p.segments == nil {
			_ = p.fill([]string{p.rest})
		}
	})
}

func FuzzParseIndex(f *testing.F) {
	k := storetest.Key("k")
	f.Add(indexOf(f, k))
	f.Add(indexOf(f, k, storetest.Entry("a", ""), storetest.Entry("b", "")))
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := parseIndex(k, s); err != nil && !errors.Is(err, store.ErrDamaged) && !errors.Is(err, store.ErrOtherKey) {
			t.Fatal(err)
		}
		if len(s) >= minRecord {
			_, _ = parseRecord(s) // as if the checksum matched
		}
	})
}
