package observe

import (
	"math"
	"time"
)

// A Histogram's buckets are exponential with the base 2^(1/4), like OpenTelemetry's exponential
// histogram with scale 2 and Prometheus' native histogram with schema 2. A bucket excludes its
// lower bound and includes its upper bound. The buckets cover 2^-20 s, about 1 µs, to 2^7 s, about
// two minutes. The first one also holds all shorter durations, and the last one all longer
// durations.
const (
	perOctave   = 4
	lowestPower = -20
	highPower   = 7

	// NBuckets is the number of a Histogram's buckets.
	NBuckets = (highPower-lowestPower)*perOctave + 2
	// Scale is the scale of OpenTelemetry's exponential histogram, and the schema of Prometheus'
	// native histogram, with the same bounds.
	Scale = 2
	// FirstIndex is the OpenTelemetry index of Buckets[1]. OpenTelemetry's bucket i is (base^i,
	// base^(i+1)].
	FirstIndex = lowestPower * perOctave
)

// Histogram is a distribution of durations.
type Histogram struct {
	Count   uint64
	Sum     time.Duration
	Buckets [NBuckets]uint64
}

// The bounds between the four buckets of an octave, as fractions of it.
const (
	quarter1 = 1.189207115002721 // 2^(1/4)
	quarter2 = math.Sqrt2
	quarter3 = 1.681792830507429 // 2^(3/4)
)

// bucketOf returns the index of the bucket that holds d.
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
	case m == 1: // the bound itself belongs to the bucket below it
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

// Bound returns the upper bound of bucket i in seconds. The last bucket's is infinite.
func Bound(i int) float64 {
	if i >= NBuckets-1 {
		return math.Inf(1)
	}
	return math.Exp2(lowestPower + float64(i)/perOctave)
}

// Quantile returns the duration that the share q of all durations does not exceed, for q in [0, 1].
// Within a bucket it assumes that the logarithms are evenly spread, so its error is at most 19 %.
// It returns 0 for an empty histogram, and the highest bound for a longer duration.
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

// within returns the duration at the given share of bucket i.
func within(i int, share float64) time.Duration {
	switch i {
	case 0:
		return time.Duration(share * Bound(0) * 1e9)
	case NBuckets - 1:
		return time.Duration(Bound(NBuckets-2) * 1e9)
	}
	return time.Duration(math.Exp2(lowestPower+(float64(i-1)+share)/perOctave) * 1e9)
}

// Sub returns the durations added since older, an earlier reading of the same histogram.
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
