// Package rawjson takes JSON texts (RFC 8259) apart and puts them together again without changing what is in between: a number keeps its digits, a
// string its escapes, an object the order of its members. What it is given is looked at once, by [Check], which is stricter than the RFC where
// readers differ: names must be unique (RFC 8259 §4), strings must be Unicode without lone surrogates (§8.2), and depth is bounded (§9). All other
// functions expect a text that Check has passed.
//
// Nothing here keeps state; all of it may be called concurrently.
package rawjson
