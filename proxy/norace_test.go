//go:build !race

package proxy_test

// underRace: see race_test.go.
const underRace = false
