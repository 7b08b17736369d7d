package advice

import (
	"math"
	"math/bits"
)

// distinct estimates the number of different values (HyperLogLog), with an error of about 6 %.
type distinct [256]uint8

// add adds the hash of a value.
func (d *distinct) add(hash uint64) {
	rank := uint8(bits.LeadingZeros64(hash<<8|1<<7)) + 1
	if r := &d[hash>>56]; rank > *r {
		*r = rank
	}
}

// count returns the estimate.
func (d *distinct) count() float64 {
	const m = 256
	sum, empty := 0.0, 0
	for _, r := range d {
		sum += 1 / float64(uint64(1)<<r)
		if r == 0 {
			empty++
		}
	}
	estimate := 0.7213 / (1 + 1.079/m) * m * m / sum
	if estimate <= 2.5*m && empty > 0 {
		return m * math.Log(m/float64(empty)) // for small numbers, count the empty registers (linear counting)
	}
	return estimate
}

// hash mixes s into h: FNV-1a, with a finaliser so that all bits are usable.
func hash(h uint64, s string) uint64 {
	h ^= 14695981039346656037
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h)
}

func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// sizes counts sizes by powers of two.
type sizes struct {
	buckets [48]uint64
	n       uint64
	sum     uint64
}

func (s *sizes) add(size int64) {
	size = max(size, 0)
	s.buckets[min(bits.Len64(uint64(size)), len(s.buckets)-1)]++
	s.n++
	s.sum += uint64(size)
}

// quantile returns an upper bound, a power of two, for the given share of all sizes.
func (s *sizes) quantile(share float64) int64 {
	rest := uint64(math.Ceil(share * float64(s.n)))
	for i, n := range s.buckets {
		if n >= rest && rest > 0 {
			return int64(1) << i
		}
		rest -= min(n, rest)
	}
	return 0
}
