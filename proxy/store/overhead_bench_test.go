package store

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/cachepolicy"
)

// BenchmarkOverhead reports the heap bytes of an object in addition to its key, head and body: in a
// store with room for twice as many objects, and in one that was offered half as many again. Use
// -benchtime 1000000x for a million objects.
func BenchmarkOverhead(b *testing.B) {
	for _, test := range []struct {
		name      string
		room, put float64 // for each expected object
	}{
		{"room", 2, 1},
		{"full", 1, 1.5},
	} {
		b.Run(test.name, func(b *testing.B) {
			key, e := plainKey(0), plainEntry(time.Now())
			size := sizeFor(int64(float64(b.N)*test.room), &Object{Key: key, Variants: []*Entry{e}})
			m, err := NewMemory(MemoryConfig{Size: size, Objects: int64(float64(b.N) * test.room)})
			if err != nil {
				b.Fatal(err)
			}
			defer m.Close()
			empty := heapInUse()
			for i := range int(float64(b.N) * test.put) {
				if err := m.Put(context.Background(), plainKey(i), e, 0); err != nil {
					b.Fatal(err)
				}
			}
			grown, s, waste := heapInUse()-empty, m.Stats(), m.chunks.waste()
			own := int64(len(key.Full) + len(e.Representations[0].Head) + len(lightBody))
			b.ReportMetric(float64(grown-waste)/float64(s.Objects)-float64(own), "heap-B/object")
			b.ReportMetric(float64(s.Bytes-waste)/float64(s.Objects)-float64(own), "counted-B/object")
			b.ReportMetric(float64(s.Objects), "objects")
			b.ReportMetric(0, "ns/op")
			runtime.KeepAlive(e)
		})
	}
}

func plainKey(i int) cachepolicy.Key {
	return cachepolicy.Key{Hash: scatter(uint64(i)), Full: fmt.Sprintf("GET http://www.example.com/path/%012d", i)}
}

// plainEntry returns a typical response of an origin, of 1 KB.
func plainEntry(now time.Time) *Entry {
	tag := `"5f3c-61a2b9c4d8e10"`
	e := &Entry{Meta: cachepolicy.Meta{
		Status: 200, Born: now, Received: now, Date: now.Truncate(time.Second), LastModified: now.Add(-240 * time.Hour).Truncate(time.Second),
		Lifetime: time.Hour, FillTime: 3 * time.Millisecond, ETag: tag, Total: int64(len(lightBody)),
	}}
	e.Representations = []Representation{{
		Head: "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nEtag: " + tag + "\r\n" + strings.Repeat("X-Filler: 0123456789\r\n", 5),
		Body: NewBody(lightBody),
	}}
	return e
}

// TestRecordIsSmall checks that the record of a plain response has little overhead.
func TestRecordIsSmall(t *testing.T) {
	o := &Object{Key: plainKey(1), Variants: []*Entry{plainEntry(time.Now())}}
	n := len(seal(appendBodies(appendRecord(nil, o, new(eraNumbers)), o)))
	rest := n - len(o.Key.Full) - len(o.Variants[0].Representations[0].Head) - len(lightBody)
	t.Logf("a record of %d bytes has %d beside key, head and body", n, rest)
	if rest > 90 {
		t.Errorf("%d bytes beside key, head and body", rest)
	}
}
