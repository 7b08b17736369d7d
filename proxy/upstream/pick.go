package upstream

import (
	"math"
	"slices"
)

// state holds the facts about one target that a choice needs.
type state struct {
	weight   int // at least 1
	inFlight int
	tried    bool // by this request, in vain
	out      bool // recent failures speak against it
}

// lighter reports whether a is less loaded than b, each for its weight.
func lighter(a, b state) bool { return a.inFlight*b.weight < b.inFlight*a.weight }

// pickP2C draws two targets by weight and takes the less loaded; of two alike the first drawn, so
// that the weights hold when nothing is loaded. random is uniform over all of uint64.
func pickP2C(states []state, random uint64) int {
	first := draw(states, -1, uint32(random>>32))
	if len(states) == 1 {
		return first
	}
	second := draw(states, first, uint32(random))
	if lighter(states[second], states[first]) {
		return second
	}
	return first
}

// pickLeastConn takes the least loaded target; among equals it draws by weight, so that an idle
// upstream is not always asked at its first target.
func pickLeastConn(states []state, random uint64) int {
	least := states[0]
	for _, s := range states[1:] {
		if lighter(s, least) {
			least = s
		}
	}
	return drawWhere(states, uint32(random), func(i int) bool { return !lighter(least, states[i]) })
}

// draw picks a target other than the one left out, with a chance proportional to its weight.
func draw(states []state, leftOut int, random uint32) int {
	return drawWhere(states, random, func(i int) bool { return i != leftOut })
}

func drawWhere(states []state, random uint32, eligible func(int) bool) int {
	total := 0
	for i, s := range states {
		if eligible(i) {
			total += s.weight
		}
	}
	point := int(uint64(random) * uint64(total) >> 32)
	last := 0
	for i, s := range states {
		if !eligible(i) {
			continue
		}
		last = i
		if point -= s.weight; point < 0 {
			return i
		}
	}
	return last
}

// smoothOrder is one period of smooth weighted round robin (as nginx does it): each target comes as
// often as its weight says, spread as evenly as may be.
func smoothOrder(weights []int) []int {
	period, divisor := 0, 0
	for _, w := range weights {
		divisor = gcd(w, divisor)
	}
	for _, w := range weights {
		period += w / divisor
	}
	current := make([]int, len(weights))
	order := make([]int, 0, period)
	for range period {
		best := 0
		for i, w := range weights {
			current[i] += w / divisor
			if current[i] > current[best] {
				best = i
			}
		}
		current[best] -= period
		order = append(order, best)
	}
	return order
}

// turnOf is the target whose turn it is among the candidates. The others' turns are shared out as
// the weights say.
func turnOf(order []int, turn uint64, candidates []int) int {
	if candidates == nil {
		return order[turn%uint64(len(order))]
	}
	theirs := make([]int, 0, len(order))
	for _, i := range order {
		if slices.Contains(candidates, i) {
			theirs = append(theirs, i)
		}
	}
	return theirs[turn%uint64(len(theirs))]
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// pickHash is weighted rendezvous hashing: each target scores the key by itself, so that a target
// which comes or goes moves only the keys that it gains or loses. ids are hashes of the targets'
// names.
func pickHash(states []state, ids []uint64, key uint64) int {
	best, bestScore := 0, math.Inf(-1)
	for i, s := range states {
		if score := rendezvous(ids[i], key, s.weight); score > bestScore {
			best, bestScore = i, score
		}
	}
	return best
}

// rendezvous is -weight/ln(u) for u uniform in (0,1), which makes the chance of the highest score
// proportional to weight.
func rendezvous(id, key uint64, weight int) float64 {
	u := (float64(mix(id^mix(key))>>11) + 0.5) / (1 << 53)
	return -float64(weight) / math.Log(u)
}

// mix is the finaliser of SplitMix64: every bit of x changes half of the result's.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// hashString is 64-bit FNV-1a: the same in every instance of the gateway, which a random seed would
// not be.
func hashString(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}
