// Package write keeps requests that change something until they have been applied: a write is stored durably, answered 202, and sent upstream later,
// as often as it takes.
//
// What it promises. A write that was acknowledged survives the death of the process at any moment. Writes of one lane, which is a host and a path, are
// applied one after the other in the order in which they were accepted: the next is sent when the store knows what became of the one before. Lanes are
// independent of each other. A write may be sent more than once, always with the same Idempotency-Key: an upstream that honours it applies it once.
// One that can't be applied becomes a dead letter, and the lane goes on without it.
//
// A [Store] keeps the writes and says who may work on them; [Queue] does the work; [Behind] accepts writes. It knows neither caches nor routes: how a
// write is applied is a function that it was given.
package write
