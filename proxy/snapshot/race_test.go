//go:build race

package snapshot_test

// underRace: sync.Pool then throws things away at random, so that what is pooled allocates.
const underRace = true
