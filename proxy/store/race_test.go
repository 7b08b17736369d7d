//go:build race

package store

// underRace: sync.Pool then throws things away at random, and with it ristretto loses its counts of uses. What is left must still be about LRU.
const underRace = true
