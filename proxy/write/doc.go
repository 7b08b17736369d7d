// Package write implements write-behind: a write is stored durably, answered with 202, and sent
// upstream later, as often as necessary.
//
// It promises the following. An acknowledged write survives the death of the process at any moment.
// The writes of one lane are applied one after the other in the order of acceptance: the next one
// is sent when the store has recorded the result of the one before. A lane is a host and a path, or
// a host and the value by which the route orders its writes. Lanes are independent of each other. A
// write may be sent more than once, but always with the same Idempotency-Key, so that an upstream
// which honours the key applies it once. If a write can't be applied, it becomes a dead letter, and
// its lane continues without it.
//
// A [Store] keeps the writes and decides which instance works on them, [Queue] applies them, and
// [Behind] accepts them. The package knows neither caches nor routes: the function that applies a
// write is a parameter.
package write
