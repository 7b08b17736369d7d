package compress

import (
	"fmt"
	"io"
	"testing"
)

func BenchmarkNegotiate(b *testing.B) {
	for name, lines := range map[string][]string{
		"browser": {"gzip, deflate, br, zstd"}, "weights": {"gzip;q=0.8, br;q=0.9, *;q=0.1"}, "none": nil,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Negotiate(lines, allAtHand, usual)
			}
		})
	}
}

func BenchmarkEligible(b *testing.B) {
	p := Policy{Encodings: usual, MinSize: 500}
	h := header("Content-Type", "application/json; charset=utf-8", "Cache-Control", "public, max-age=60")
	b.ReportAllocs()
	for b.Loop() {
		p.Eligible(200, h, 5000, Identity)
	}
}

// benchBodies runs f for each coding and size of body.
func benchBodies(b *testing.B, f func(b *testing.B, c Coding, body []byte)) {
	for _, c := range coded {
		for _, size := range []int{1 << 10, 16 << 10, 128 << 10} {
			b.Run(fmt.Sprintf("%v/%dK", c, size>>10), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(size))
				f(b, c, sampleJSON(size))
			})
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	benchBodies(b, func(b *testing.B, c Coding, body []byte) {
		segments, dst := [][]byte{body}, make([]byte, 0, len(body))
		var n int
		for b.Loop() {
			out, err := Encode(dst[:0], c, 0, segments)
			if err != nil {
				b.Fatal(err)
			}
			n = len(out)
		}
		b.ReportMetric(float64(len(body))/float64(n), "ratio")
	})
}

func BenchmarkDecode(b *testing.B) {
	benchBodies(b, func(b *testing.B, c Coding, body []byte) {
		segments, dst := [][]byte{encoded(b, c, body)}, make([]byte, 0, len(body)+1)
		for b.Loop() {
			if _, err := Decode(dst[:0], c, segments, Limit{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkWriter(b *testing.B) {
	benchBodies(b, func(b *testing.B, c Coding, body []byte) {
		for b.Loop() {
			w := NewWriter(io.Discard, c, 0)
			if _, err := w.Write(body); err != nil {
				b.Fatal(err)
			}
			if err := w.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
