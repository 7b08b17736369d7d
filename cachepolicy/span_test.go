package cachepolicy

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

const bitmapSize = 24

// bitmap is a second, slow implementation of a list of spans.
type bitmap [bitmapSize]bool

func (b *bitmap) set(spans ...Span) {
	for _, s := range spans {
		for i := max(0, s.First); s.First >= 0 && i <= s.Last; i++ {
			b[i] = true
		}
	}
}

func (b *bitmap) spans() []Span {
	var out []Span
	for i, held := range b {
		switch {
		case held && (i == 0 || !b[i-1]):
			out = append(out, Span{int64(i), int64(i)})
		case held:
			out[len(out)-1].Last++
		}
	}
	return out
}

// offset returns the position of s in the concatenation of the stored bytes.
func (b *bitmap) offset(s Span) (Span, bool) {
	if s.First < 0 || s.Last < s.First {
		return Span{}, false
	}
	before := int64(0)
	for i := range s.First {
		if b[i] {
			before++
		}
	}
	for i := s.First; i <= s.Last; i++ {
		if !b[i] {
			return Span{}, false
		}
	}
	return Span{before, before + s.Last - s.First}, true
}

var anySpan = rapid.Custom(func(t *rapid.T) Span {
	return Span{rapid.Int64Range(-1, bitmapSize-1).Draw(t, "first"), rapid.Int64Range(-1, bitmapSize-1).Draw(t, "last")}
})

func TestSpansAgainstABitmap(t *testing.T) {
	list := rapid.SliceOfN(anySpan, 0, 6)
	rapid.Check(t, func(t *rapid.T) {
		a, b, want := list.Draw(t, "a"), list.Draw(t, "b"), anySpan.Draw(t, "want")
		before := slices.Clone(a)
		var inA, inBoth, missing bitmap
		inA.set(a...)
		inBoth.set(a...)
		inBoth.set(b...)
		missing.set(want)
		for i := range missing {
			missing[i] = missing[i] && !inA[i]
		}
		held := NormalizeSpans(a)
		if !slices.Equal(held, inA.spans()) {
			t.Fatalf("NormalizeSpans(%v) = %v, want %v", a, held, inA.spans())
		}
		if got := UnionSpans(a, b); !slices.Equal(got, inBoth.spans()) {
			t.Fatalf("UnionSpans(%v, %v) = %v, want %v", a, b, got, inBoth.spans())
		}
		if want.First >= 0 {
			if got := MissingSpans(want, held); !slices.Equal(got, missing.spans()) {
				t.Fatalf("MissingSpans(%v, %v) = %v, want %v", want, held, got, missing.spans())
			}
		}
		at, ok := SpanOffset(held, want)
		if wantAt, wantOK := inA.offset(want); at != wantAt || ok != wantOK || CoversSpan(held, want) != ok {
			t.Fatalf("SpanOffset(%v, %v) = %v, %v, want %v, %v", held, want, at, ok, wantAt, wantOK)
		}
		if !slices.Equal(a, before) {
			t.Fatalf("%v was changed to %v", before, a)
		}
	})
}

func TestSpansAtTheGreatestPosition(t *testing.T) {
	end := Span{math.MaxInt64 - 1, math.MaxInt64}
	if got := UnionSpans([]Span{end}, []Span{{0, math.MaxInt64}}); !slices.Equal(got, []Span{{0, math.MaxInt64}}) {
		t.Errorf("union %v", got)
	}
	if got := MissingSpans(Span{0, math.MaxInt64}, []Span{end}); !slices.Equal(got, []Span{{0, math.MaxInt64 - 2}}) {
		t.Errorf("missing %v", got)
	}
}
