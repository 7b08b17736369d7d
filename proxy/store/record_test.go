package store

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
)

func anyTime(t *rapid.T, label string) time.Time {
	if rapid.IntRange(0, 3).Draw(t, label+" none") == 0 {
		return time.Time{}
	}
	return time.Unix(rapid.Int64Range(-1<<36, 1<<38).Draw(t, label), rapid.Int64Range(0, 1e9-1).Draw(t, label+" ns")).UTC()
}

func anyEntry(t *rapid.T) *Entry {
	text := rapid.StringN(0, 20, 40)
	d := func(label string) time.Duration { return time.Duration(rapid.Int64().Draw(t, label)) }
	e := &Entry{
		Meta: cachepolicy.Meta{
			Status: rapid.IntRange(100, 999).Draw(t, "status"), Flags: cachepolicy.Flags(rapid.Uint16().Draw(t, "flags")),
			Born: anyTime(t, "born"), Received: anyTime(t, "received"), LastModified: anyTime(t, "modified"), Date: anyTime(t, "date"),
			Lifetime: d("lifetime"), StaleRevalid: d("swr"), StaleError: d("sie"), FillTime: d("fill"),
			ETag: text.Draw(t, "etag"), Vary: cachepolicy.Vary(text.Draw(t, "vary")), Language: text.Draw(t, "language"),
			Total: rapid.Int64().Draw(t, "total"), Seq: rapid.Uint64().Draw(t, "seq"),
		},
		Tags:      rapid.SliceOfN(text, 1, 3).Draw(t, "tags"),
		Epoch:     Epoch{Era: rapid.Uint64().Draw(t, "era"), Seq: rapid.Uint64().Draw(t, "epoch")},
		Fence:     rapid.Uint64().Draw(t, "fence"),
		Derivable: compress.Set(rapid.Byte().Draw(t, "derivable")),
	}
	for range rapid.IntRange(0, 2).Draw(t, "spans") {
		e.Spans = append(e.Spans, cachepolicy.Span{First: rapid.Int64().Draw(t, "first"), Last: rapid.Int64().Draw(t, "last")})
	}
	for range rapid.IntRange(0, 4).Draw(t, "representations") {
		r := Representation{
			Coding: compress.Coding(rapid.IntRange(0, int(compress.Unknown)).Draw(t, "coding")), Best: rapid.Bool().Draw(t, "best"),
			Head: text.Draw(t, "head") + e.ETag + text.Draw(t, "head"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "segments") {
			s := rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(t, "segment")
			r.Body.Segments = append(r.Body.Segments, s)
			r.Body.Size += int64(len(s))
		}
		e.Representations = append(e.Representations, r)
	}
	return e
}

// TestRecordKeepsEverything checks that an object from a record equals the original, except for the
// segments of its bodies.
func TestRecordKeepsEverything(t *testing.T) {
	var known eraNumbers
	rapid.Check(t, func(t *rapid.T) {
		o := &Object{Key: cachepolicy.KeyOf(rapid.String().Draw(t, "key"))}
		for range rapid.IntRange(0, 3).Draw(t, "variants") {
			o.Variants = append(o.Variants, anyEntry(t))
		}
		b := seal(appendBodies(appendRecord(nil, o, &known), o))
		if recordSize(b) != len(b) || recordID(b) != id(o.Key) || recordKey(b) != o.Key || !isRecordOf(b, &o.Key) {
			t.Fatalf("the beginning of %x", b)
		}
		other := o.Key
		other.Full += "x"
		if isRecordOf(b, &other) {
			t.Fatal("the record of another key")
		}
		got := unpack(b, &known)
		if d := cmp.Diff(o, got, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(Object{}, Entry{}), cmpopts.IgnoreFields(Entry{}, "Uses"),
			cmp.Comparer(func(a, b Body) bool {
				return a.Size == b.Size && bytes.Equal(slices.Concat(a.Segments...), slices.Concat(b.Segments...))
			})); d != "" {
			t.Fatal(d)
		}
		for i, e := range got.Variants {
			if !e.same(o.Variants[i]) {
				t.Fatal("not the same response")
			}
		}
	})
}

// TestRecordsKnowAllFields fails if a field is added to the stored types and missing from records,
// where it would be lost.
func TestRecordsKnowAllFields(t *testing.T) {
	for typ, fields := range map[reflect.Type]int{
		reflect.TypeFor[cachepolicy.Meta](): 16, reflect.TypeFor[Entry](): 9, reflect.TypeFor[Representation](): 4,
	} {
		if n := typ.NumField(); n != fields {
			t.Errorf("%v has %d fields; record.go, and TestRecordKeepsEverything, know of %d", typ, n, fields)
		}
	}
}

func TestIndexAgainstAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var items slab[item]
		items.init(4)
		x := index{factor: rapid.Uint64().Draw(t, "factor") | 1}
		held := map[uint64]uint32{}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				id := rapid.Uint64Range(0, 60).Draw(t, "id") * rapid.SampledFrom([]uint64{1, 1 << 40}).Draw(t, "spread")
				if _, ok := held[id]; ok {
					return
				}
				i := items.take()
				items.at(i).id.Store(id)
				x.add(id, i)
				held[id] = i
			},
			"remove": func(t *rapid.T) {
				for id, i := range held {
					x.remove(x.find(&items, id))
					items.give(i)
					delete(held, id)
					return
				}
			},
			"": func(t *rapid.T) {
				for id, i := range held {
					if at := x.find(&items, id); at < 0 || x.slots[at].item() != i {
						t.Fatalf("%d is not found", id)
					}
				}
				if x.used != len(held) || x.find(&items, 1<<50) >= 0 {
					t.Fatalf("%d are used, %d held", x.used, len(held))
				}
			},
		})
	})
}

// numbered returns an entry with its number in its head and in each byte of its body.
func numbered(n uint32, size int) *Entry {
	e := lightEntry(time.Now())
	mark := binary.LittleEndian.AppendUint32(nil, n)
	e.Seq = uint64(n)
	e.Representations = []Representation{{Head: string(mark), Body: NewBody(bytes.Repeat(mark, size/4))}}
	return e
}

func isNumbered(e *Entry) bool {
	mark := binary.LittleEndian.AppendUint32(nil, uint32(e.Seq))
	r := e.Representations[0]
	return r.Head == string(mark) && bytes.Equal(slices.Concat(r.Body.Segments...), bytes.Repeat(mark, int(r.Body.Size)/4))
}

// TestRecordsMoveUnderReaders checks that an object does not change while a reader holds it,
// whatever is put or evicted meanwhile, that moved records keep their content, and that waste stays
// within its limit.
func TestRecordsMoveUnderReaders(t *testing.T) {
	const objects = 6_000
	m, err := NewMemory(MemoryConfig{Size: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	var held []*Object
	seq, over := uint32(0), 0
	for round := range 12 {
		for i := range objects {
			if (i*7+round)%3 == 0 {
				continue // stays stored beside replaced objects, so that chunks hold both
			}
			seq++
			if err := m.Put(t.Context(), lightKey(uint64(i)), numbered(seq, 100+(i*13+round*101)%700), 0); err != nil {
				t.Fatal(err)
			}
			over++
			if m.chunks.waste() <= m.chunks.slack {
				over = 0
			}
			// The next Put handles the evictions that the tier's own goroutine made after a Put.
			if over > 3 {
				t.Fatalf("%d bytes are wasted after each of %d puts, of %d that may be", m.chunks.waste(), over, m.chunks.slack)
			}
			if o, err := m.Get(t.Context(), lightKey(uint64(i*31%objects))); err == nil && i%10 == 0 {
				held = append(held, o)
			}
		}
	}
	stored := 0
	for i := range objects {
		if o, err := m.Get(t.Context(), lightKey(uint64(i))); err == nil {
			held = append(held, o)
			stored++
		}
	}
	if stored < 1000 {
		t.Fatalf("%d objects are stored", stored)
	}
	for _, o := range held {
		if !isNumbered(o.Variants[0]) {
			t.Fatal("an object has changed")
		}
	}
}

// TestGrownObjectReleasesItsChunk checks that a large object does not refer to a chunk, and that a
// small object does not refer to a large one.
func TestGrownObjectReleasesItsChunk(t *testing.T) {
	m, err := NewMemory(MemoryConfig{Size: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	k := lightKey(1)
	if err := m.Put(t.Context(), k, numbered(1, 4000), 0); err != nil {
		t.Fatal(err)
	}
	o, _ := m.Get(t.Context(), k)
	old := o.Variants[0]
	grown := &Entry{Meta: old.Meta, Representations: append(slices.Clip(old.Representations), Representation{Coding: compress.Gzip, Body: NewBody(make([]byte, 20_000))})}
	if done, err := m.Replace(t.Context(), k, old, grown); !done || err != nil {
		t.Fatal(done, err)
	}
	o, err = m.Get(t.Context(), k)
	if err != nil || len(o.Variants[0].Representations) != 2 || !isNumbered(o.Variants[0]) {
		t.Fatalf("%v, %+v", err, o)
	}
	a, b := old.Representations[0].Body.Segments[0], o.Variants[0].Representations[0].Body.Segments[0]
	if &a[0] == &b[0] {
		t.Error("the body is still a part of the record")
	}
}
