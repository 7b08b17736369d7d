package observe

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestBucketBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		exponent := rapid.Float64Range(0, 40).Draw(t, "exponent")
		d := time.Duration(math.Exp2(exponent)) * time.Duration(rapid.IntRange(0, 1).Draw(t, "zero or not"))
		i := bucketOf(d)
		if s := d.Seconds(); s > Bound(i)*(1+1e-12) || i > 0 && s <= Bound(i-1)*(1-1e-12) {
			t.Fatalf("%v is in bucket %d, which ends at %v s and begins at %v s", d, i, Bound(i), Bound(i-1))
		}
	})
	for i, want := range map[time.Duration]int{-time.Second: 0, 0: 0, 1: 0, time.Second: 80, time.Second + 1: 81, 128 * time.Second: 108, 128*time.Second + 128: 109, math.MaxInt64: 109} {
		if got := bucketOf(i); got != want {
			t.Errorf("%v is in bucket %d, want %d", i, got, want)
		}
	}
}

func TestQuantileErrorIsOneBucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h Histogram
		sample := rapid.SliceOfN(rapid.Int64Range(int64(time.Microsecond), int64(2*time.Minute)), 1, 200).Draw(t, "durations")
		for _, d := range sample {
			h.Buckets[bucketOf(time.Duration(d))]++
			h.Count++
		}
		slices.Sort(sample)
		q := rapid.Float64Range(0, 1).Draw(t, "q")
		at := max(0, int(math.Ceil(q*float64(len(sample))))-1)
		got, want := h.Quantile(q), time.Duration(sample[at])
		if ratio := float64(got) / float64(want); ratio < 0.83 || ratio > 1.2 {
			t.Fatalf("the %v quantile of %d is %v, want about %v", q, len(sample), got, want)
		}
	})
	if q := new(Histogram).Quantile(0.5); q != 0 {
		t.Errorf("the median of nothing is %v", q)
	}
	long := Histogram{Count: 1}
	long.Buckets[NBuckets-1] = 1
	if q := long.Quantile(0.99); q != 128*time.Second {
		t.Errorf("a value beyond all bounds is reported as %v", q)
	}
}

func TestSubUndoesAdd(t *testing.T) {
	a := Histogram{Count: 3, Sum: time.Second}
	a.Buckets[7] = 3
	b := Histogram{Count: 1, Sum: time.Millisecond}
	b.Buckets[7], b.Count = 1, 1
	sum := a
	sum.Add(&b)
	if sum.Sub(a) != b || sum.Sub(b) != a {
		t.Errorf("%v and %v add up to %v", a, b, sum)
	}
}
