package upstream

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

func statesOf(weights ...int) []state {
	out := make([]state, len(weights))
	for i, w := range weights {
		out[i] = state{weight: w}
	}
	return out
}

func TestSmoothOrder(t *testing.T) {
	f := func(want string, weights ...int) {
		t.Helper()
		if got := fmt.Sprint(smoothOrder(weights)); got != want {
			t.Errorf("smoothOrder(%v) = %s, want %s", weights, got, want)
		}
	}
	f("[0]", 1)
	f("[0]", 7)
	f("[0 1]", 1, 1)
	f("[0 1]", 500, 500)
	f("[0 0 1 0 2 0 0]", 5, 1, 1) // nginx's own example
	f("[1 0 1]", 1, 2)
}

func TestSmoothOrderRespectsWeights(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(1, 50), 1, 8).Draw(t, "weights")
		order := smoothOrder(weights)
		count := make([]int, len(weights))
		for _, i := range order {
			count[i]++
		}
		total := 0
		for _, w := range weights {
			total += w
		}
		for i, w := range weights {
			if count[i]*total != w*len(order) {
				t.Fatalf("target %d of %v comes %d times in %d", i, weights, count[i], len(order))
			}
		}
	})
}

// shares runs choose n times and checks that the picks are spread as the weights say.
func shares(t *testing.T, weights []int, choose func() int) {
	t.Helper()
	const n = 40000
	count := make([]int, len(weights))
	total := 0
	for _, w := range weights {
		total += w
	}
	for range n {
		count[choose()]++
	}
	for i, w := range weights {
		want := float64(n) * float64(w) / float64(total)
		if math.Abs(float64(count[i])-want) > 0.06*n*math.Sqrt(float64(w)/float64(total)) {
			t.Errorf("target %d of weights %v: %d picks of %d, want about %.0f", i, weights, count[i], n, want)
		}
	}
}

func TestWeightsHoldWhenIdle(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, weights := range [][]int{{1}, {1, 1}, {1, 2}, {5, 1, 1}, {1, 10}} {
		states := statesOf(weights...)
		ids := make([]uint64, len(weights))
		for i := range ids {
			ids[i] = hashString(fmt.Sprint("http://10.0.0.", i))
		}
		shares(t, weights, func() int { return pickP2C(states, r.Uint64()) })
		shares(t, weights, func() int { return pickLeastConn(states, r.Uint64()) })
		shares(t, weights, func() int { return pickHash(states, ids, r.Uint64()) })
	}
}

func TestPickP2CPrefersTheLessLoaded(t *testing.T) {
	states := []state{{weight: 1, inFlight: 5}, {weight: 1, inFlight: 1}}
	rapid.Check(t, func(t *rapid.T) {
		if got := pickP2C(states, rapid.Uint64().Draw(t, "random")); got != 1 {
			t.Fatalf("picked %d of two, the other has less to do", got)
		}
	})
}

func TestPickP2CNeverTakesTheMostLoaded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		loads := rapid.SliceOfN(rapid.IntRange(0, 20), 2, 8).Draw(t, "loads")
		states := make([]state, len(loads))
		most, unique := 0, true
		for i, l := range loads {
			states[i] = state{weight: 1, inFlight: l}
			switch {
			case i > 0 && l > loads[most]:
				most, unique = i, true
			case i > 0 && l == loads[most]:
				unique = false
			}
		}
		if got := pickP2C(states, rapid.Uint64().Draw(t, "random")); unique && got == most {
			t.Fatalf("picked the single most loaded, %d of %v", got, loads)
		}
	})
}

func TestPickLeastConn(t *testing.T) {
	f := func(want int, states ...state) {
		t.Helper()
		for _, random := range []uint64{0, 1 << 31, math.MaxUint64} {
			if got := pickLeastConn(states, random); got != want {
				t.Errorf("pickLeastConn(%v, %d) = %d, want %d", states, random, got, want)
			}
		}
	}
	f(1, state{weight: 1, inFlight: 3}, state{weight: 1, inFlight: 2}, state{weight: 1, inFlight: 4})
	f(0, state{weight: 10, inFlight: 9}, state{weight: 1, inFlight: 1})  // nine of ten is less than one of one
	f(1, state{weight: 10, inFlight: 11}, state{weight: 1, inFlight: 1}) // eleven of ten is more
}

func TestPickHashMovesOnlyWhatItMust(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(1, 9), 2, 8).Draw(t, "weights")
		ids := make([]uint64, len(weights))
		for i := range ids {
			ids[i] = hashString(fmt.Sprintf("http://t%d", i))
		}
		states := statesOf(weights...)
		fewer := len(weights) - 1
		key := rapid.Uint64().Draw(t, "key")
		before, after := pickHash(states[:fewer], ids[:fewer], key), pickHash(states, ids, key)
		if after != before && after != fewer {
			t.Fatalf("a new target moved key %d from %d to %d, an old one", key, before, after)
		}
	})
}

func TestPickHashIsStable(t *testing.T) {
	states, ids := statesOf(1, 2, 3), []uint64{hashString("a"), hashString("b"), hashString("c")}
	want := map[string]int{}
	for i := range 100 {
		key := fmt.Sprint("user-", i)
		want[key] = pickHash(states, ids, hashString(key))
	}
	// The order of the targets does not matter either.
	turned, turnedIDs := []state{states[2], states[0], states[1]}, []uint64{ids[2], ids[0], ids[1]}
	for key, i := range want {
		if got := pickHash(turned, turnedIDs, hashString(key)); turnedIDs[got] != ids[i] {
			t.Errorf("key %s went to another target after the list was reordered", key)
		}
	}
}
