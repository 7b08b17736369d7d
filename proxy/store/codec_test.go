package store_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/store"
	"github.com/penstock/penstock/proxy/store/storetest"
)

// facts holds the parts of an entry that its encoding contains.
type facts struct {
	Meta            cachepolicy.Meta
	Representations []store.Representation
	Tags            []string
	Epoch           store.Epoch
	Fence           uint64
	Derivable       compress.Set
}

func factsOf(e *store.Entry) facts {
	return facts{e.Meta, e.Representations, e.Tags, e.Epoch, e.Fence, e.Derivable}
}

// sameFacts compares entries. Only for spans does nil differ from an empty list.
func sameFacts(a, b *store.Entry) string {
	if (a.Spans == nil) != (b.Spans == nil) {
		return "spans: nil and empty"
	}
	return cmp.Diff(factsOf(a), factsOf(b), cmpopts.EquateEmpty())
}

// drawEntry draws entries of all shapes, sensible or not.
func drawEntry(t *rapid.T) *store.Entry {
	text := rapid.StringN(0, 40, 200)
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "zero") {
			return time.Time{}
		}
		return time.Unix(rapid.Int64Range(-62135596800, 253402300799).Draw(t, "seconds"), rapid.Int64Range(0, 999999999).Draw(t, "nanoseconds")).UTC()
	})
	duration := rapid.Custom(func(t *rapid.T) time.Duration { return time.Duration(rapid.Int64().Draw(t, "duration")) })
	span := rapid.Custom(func(t *rapid.T) cachepolicy.Span {
		return cachepolicy.Span{First: rapid.Int64().Draw(t, "first"), Last: rapid.Int64().Draw(t, "last")}
	})
	e := &store.Entry{
		Meta: cachepolicy.Meta{
			Status: rapid.IntRange(0, 999).Draw(t, "status"), Flags: cachepolicy.Flags(rapid.Uint16().Draw(t, "flags")),
			Born: moment.Draw(t, "born"), Received: moment.Draw(t, "received"),
			Lifetime: duration.Draw(t, "lifetime"), StaleRevalid: duration.Draw(t, "swr"), StaleError: duration.Draw(t, "sie"), FillTime: duration.Draw(t, "fill"),
			ETag: text.Draw(t, "etag"), LastModified: moment.Draw(t, "modified"), Date: moment.Draw(t, "date"),
			Vary: cachepolicy.Vary(text.Draw(t, "vary")), Language: text.Draw(t, "language"),
			Total: rapid.Int64().Draw(t, "total"), Seq: rapid.Uint64().Draw(t, "seq"),
		},
		Tags:      rapid.SliceOfN(text, 0, 4).Draw(t, "tags"),
		Epoch:     store.Epoch{Era: rapid.Uint64().Draw(t, "era"), Seq: rapid.Uint64().Draw(t, "moment")},
		Fence:     rapid.Uint64().Draw(t, "fence"),
		Derivable: compress.Set(rapid.Uint8().Draw(t, "derivable")),
	}
	if rapid.Bool().Draw(t, "partial") {
		e.Spans = rapid.SliceOfN(span, 0, 4).Draw(t, "spans")
	}
	for range rapid.IntRange(0, 3).Draw(t, "representations") {
		e.Representations = append(e.Representations, store.Representation{
			Coding: compress.Coding(rapid.IntRange(0, int(compress.Unknown)).Draw(t, "coding")),
			Best:   rapid.Bool().Draw(t, "best"),
			Head:   text.Draw(t, "head"),
			Body:   store.NewBody(rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 300), 0, 4).Draw(t, "segments")...),
		})
	}
	return e
}

func encode(t testing.TB, k cachepolicy.Key, e *store.Entry) []byte {
	t.Helper()
	data, err := store.AppendEntry(nil, k, e)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestCodecRoundTrip(t *testing.T) {
	k := storetest.Key("k")
	rapid.Check(t, func(t *rapid.T) {
		e := drawEntry(t)
		data, err := store.AppendEntry([]byte("before"), k, e)
		if err != nil {
			t.Fatal(err)
		}
		data = data[len("before"):]
		if n := store.EncodedSize(k, e); n < len(data) {
			t.Errorf("EncodedSize is %d, and it has %d bytes", n, len(data))
		}
		got, err := store.DecodeEntry(k, data)
		if err != nil {
			t.Fatal(err)
		}
		clear(data) // the decoded entry must not depend on data
		if diff := sameFacts(e, got); diff != "" {
			t.Error(diff)
		}
		if store.Stamp(e) != store.Stamp(got) {
			t.Error("the stamp has changed")
		}
	})
}

// fullEntry returns an entry with a value in every field.
func fullEntry() *store.Entry {
	e := storetest.Entry("v", "body")
	e.Flags, e.StaleRevalid, e.StaleError, e.FillTime = cachepolicy.FlagImmutable, time.Minute, -1, time.Second
	e.LastModified, e.Language, e.Seq = time.Date(1994, 11, 6, 8, 49, 37, 0, time.UTC), "de", math.MaxUint64
	e.Spans = []cachepolicy.Span{{First: 0, Last: 1}, {First: 2, Last: 3}}
	e.Epoch, e.Fence, e.Derivable = store.Epoch{Era: math.MaxUint64, Seq: 7}, 9, compress.SetOf(compress.Gzip)
	e.Representations = append(e.Representations, store.Representation{
		Coding: compress.Brotli, Best: true, Head: "HTTP/1.1 200 OK\r\n", Body: store.NewBody([]byte("br"), nil, []byte("otli")),
	})
	return e
}

func TestCodecDetectsEveryFlip(t *testing.T) {
	k := storetest.Key("k")
	data := encode(t, k, fullEntry())
	for i := range len(data) * 8 {
		data[i/8] ^= 1 << (i % 8)
		if _, err := store.DecodeEntry(k, data); !errors.Is(err, store.ErrDamaged) {
			t.Fatalf("bit %d flipped: %v", i, err)
		}
		data[i/8] ^= 1 << (i % 8)
	}
	if _, err := store.DecodeEntry(k, data); err != nil {
		t.Fatal(err)
	}
}

func TestCodecDetectsTruncation(t *testing.T) {
	k := storetest.Key("k")
	data := encode(t, k, fullEntry())
	for n := range data {
		if _, err := store.DecodeEntry(k, data[:n]); !errors.Is(err, store.ErrDamaged) {
			t.Fatalf("%d of %d bytes: %v", n, len(data), err)
		}
	}
	if _, err := store.DecodeEntry(k, append(data, 0)); !errors.Is(err, store.ErrDamaged) {
		t.Fatalf("a byte more: %v", err)
	}
}

// reseal corrects the checksum, so that the checks behind it are tested.
func reseal(data []byte) []byte {
	data = bytes.Clone(data)
	end := len(data) - 8
	binary.BigEndian.PutUint64(data[end:], xxhash.Sum64(data[:end]))
	return data
}

func TestCodecComparesVersionAndKey(t *testing.T) {
	k := storetest.Key("k")
	data := encode(t, k, fullEntry())
	old := bytes.Clone(data)
	old[1]--
	if _, err := store.DecodeEntry(k, reseal(old)); !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), "version 1") {
		t.Errorf("old version: %v", err)
	}
	if _, err := store.DecodeEntry(storetest.Key("other"), data); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("another key's: %v", err)
	}
	collision := storetest.Key("other")
	collision.Hash = k.Hash
	if _, err := store.DecodeEntry(collision, data); !errors.Is(err, store.ErrOtherKey) {
		t.Errorf("another key's with the same hash: %v", err)
	}
}

func TestCodecRefusesWrongSize(t *testing.T) {
	e := storetest.Entry("", "body")
	e.Representations[0].Body.Size++
	if _, err := store.AppendEntry(nil, storetest.Key("k"), e); err == nil {
		t.Error("no error")
	}
}

func TestStampTellsEntriesApart(t *testing.T) {
	stamps := map[uint64]string{}
	for name, change := range map[string]func(*store.Entry){
		"nothing": func(*store.Entry) {},
		"body":    func(e *store.Entry) { e.ETag = `"other"` },
		"moment":  func(e *store.Entry) { e.Received = e.Received.Add(1) },
		"fence":   func(e *store.Entry) { e.Fence++ },
		"epoch":   func(e *store.Entry) { e.Epoch.Seq++ },
		"tags":    func(e *store.Entry) { e.Tags = nil },
		"head":    func(e *store.Entry) { e.Representations[1].Head = "" },
		"coding":  func(e *store.Entry) { e.Representations[1].Coding = compress.Zstd },
		"fewer":   func(e *store.Entry) { e.Representations = e.Representations[:1] },
	} {
		e := fullEntry()
		e.Received = time.Unix(1, 0)
		e.Born, e.Date = e.Received, e.Received
		change(e)
		if other, ok := stamps[store.Stamp(e)]; ok {
			t.Errorf("%s and %s have one stamp", name, other)
		}
		stamps[store.Stamp(e)] = name
	}
}

func FuzzDecodeEntry(f *testing.F) {
	k := storetest.Key("k")
	data := encode(f, k, fullEntry())
	f.Add(data)
	f.Add(data[:len(data)/2])
	f.Add(encode(f, k, &store.Entry{}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) >= 8 && len(data) < 1<<16 {
			check(t, k, reseal(data))
		}
		check(t, k, data)
	})
}

// check decodes data. The encoding of the result must decode to the result.
func check(t *testing.T, k cachepolicy.Key, data []byte) {
	e, err := store.DecodeEntry(k, data)
	if err != nil {
		if e != nil || !errors.Is(err, store.ErrDamaged) && !errors.Is(err, store.ErrOtherKey) {
			t.Fatalf("%v, %v", e, err)
		}
		return
	}
	again, err := store.DecodeEntry(k, encode(t, k, e))
	if err != nil {
		t.Fatal(err)
	}
	if diff := sameFacts(e, again); diff != "" {
		t.Fatal(diff)
	}
}

func TestDecodeAllocates(t *testing.T) {
	k := storetest.Key("k")
	data := encode(t, k, storetest.Entry("v", strings.Repeat("x", 1024)))
	const most = 6 // entry, head, tags, representations, segments, body
	if n := testing.AllocsPerRun(100, func() { _, _ = store.DecodeEntry(k, data) }); n > most {
		t.Errorf("%v allocations, want at most %d", n, most)
	}
}

func BenchmarkEncodeEntry(b *testing.B) {
	k, e := cachepolicy.Key{Full: strings.Repeat("k", 80), Hash: [16]byte(sha256.New().Sum(nil))}, storetest.Entry("", strings.Repeat("x", 1024))
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst, _ = store.AppendEntry(dst[:0], k, e)
	}
	b.SetBytes(int64(len(dst)))
}

func BenchmarkDecodeEntry(b *testing.B) {
	k, e := storetest.Key(strings.Repeat("k", 80)), storetest.Entry("", strings.Repeat("x", 1024))
	data := encode(b, k, e)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := store.DecodeEntry(k, data); err != nil {
			b.Fatal(err)
		}
	}
}
