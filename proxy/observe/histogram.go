package observe

import (
	"math"
	"time"
)

// A Histogram's buckets are exponential with the base 2^(1/4): those of OpenTelemetry's exponential histogram of scale 2, and of Prometheus'
// native histogram of schema 2. Each is bounded from below exclusively and from above inclusively. They cover 2^-20 s, about 1 µs, to 2^7 s, about
// two minutes; the first has all that is shorter, the last all that is longer.
const (
	perOctave   = 4
	lowestPower = -20
	highPower   = 7

	// NBuckets is the number of a Histogram's buckets.
	NBuckets = (highPower-lowestPower)*perOctave + 2
	// Scale is the scale of OpenTelemetry's exponential histogram, and the schema of Prometheus' native one, that has the same bounds.
	Scale = 2
	// FirstIndex is the index of Buckets[1] in those of OpenTelemetry: its bucket i is (base^i, base^(i+1)].
	FirstIndex = lowestPower * perOctave
)

// Histogram is a distribution of durations.
type Histogram struct {
	Count   uint64
	Sum     time.Duration
	Buckets [NBuckets]uint64
}

// The bounds between the four buckets of an octave, as parts of it.
const (
	quarter1 = 1.189207115002721 // 2^(1/4)
	quarter2 = math.Sqrt2
	quarter3 = 1.681792830507429 // 2^(3/4)
)

// bucketOf is the bucket that d falls into.
func bucketOf(d time.Duration) int {
	bits := math.Float64bits(float64(d) * 1e-9)
	power := int(bits>>52) - 1023
	if d <= 0 || power < lowestPower {
		return 0
	}
	if power >= highPower {
		if bits == uint64(highPower+1023)<<52 {
			return NBuckets - 2
		}
		return NBuckets - 1
	}
	at := (power - lowestPower) * perOctave
	switch m := math.Float64frombits(bits&(1<<52-1) | 1023<<52); {
	case m == 1: // the bound itself belongs below it
		return at
	case m <= quarter1:
		return at + 1
	case m <= quarter2:
		return at + 2
	case m <= quarter3:
		return at + 3
	}
	return at + 4
}

// Bound is the upper bound of bucket i, in seconds; that of the last is infinite.
func Bound(i int) float64 {
	if i >= NBuckets-1 {
		return math.Inf(1)
	}
	return math.Exp2(lowestPower + float64(i)/perOctave)
}

// Quantile is the duration that the share q of all is not longer than, q in [0, 1]: within a bucket it assumes an even spread of the logarithms, so
// that it is off by 19 % at most. It is 0 where there is nothing, and the highest bound for what is beyond it.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.Count == 0 {
		return 0
	}
	rank, below := min(max(q, 0), 1)*float64(h.Count), 0.0
	for i, n := range h.Buckets {
		if n == 0 {
			continue
		}
		if below+float64(n) >= rank {
			return within(i, (rank-below)/float64(n))
		}
		below += float64(n)
	}
	return within(NBuckets-1, 0)
}

// within is the duration at the given share of bucket i's way.
func within(i int, share float64) time.Duration {
	switch i {
	case 0:
		return time.Duration(share * Bound(0) * 1e9)
	case NBuckets - 1:
		return time.Duration(Bound(NBuckets-2) * 1e9)
	}
	return time.Duration(math.Exp2(lowestPower+(float64(i-1)+share)/perOctave) * 1e9)
}

// Sub is what came since older, an earlier reading of the same histogram.
func (h Histogram) Sub(older Histogram) Histogram {
	h.Count -= older.Count
	h.Sum -= older.Sum
	for i := range h.Buckets {
		h.Buckets[i] -= older.Buckets[i]
	}
	return h
}

// Add adds o's durations to h.
func (h *Histogram) Add(o *Histogram) {
	h.Count += o.Count
	h.Sum += o.Sum
	for i := range h.Buckets {
		h.Buckets[i] += o.Buckets[i]
	}
}
