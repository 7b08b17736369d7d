//go:build !race

package program

// RaceDetector tells whether the test has the race detector.
const RaceDetector = false
