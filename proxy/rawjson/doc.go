// Package rawjson reads JSON without changing it: values are handed on as the bytes that they came in, so that numbers keep every digit and
// names their order. It is strict where readers disagree (RFC 8259 §4, §8.1, §8.2, §9; RFC 7493): a document that two recipients could
// take for two different values is refused.
//
// It is pure: no clock, no I/O, no goroutine. It knows nothing of HTTP.
package rawjson
