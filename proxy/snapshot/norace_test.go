//go:build !race

package snapshot_test

// underRace: see race_test.go.
const underRace = false
