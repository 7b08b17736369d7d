//go:build race

package store

// underRace is true under the race detector: sync.Pool then drops values at random, so ristretto
// loses counts of uses. The remaining policy must still be about LRU.
const underRace = true
