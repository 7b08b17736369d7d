// Package rawjson takes JSON texts (RFC 8259) apart and joins them again without changing the
// parts: a number keeps its digits, a string its escapes, and an object the order of its members. A
// text from outside must pass [Clean] once, which accepts everything that the RFC's grammar allows
// and bounds its depth (§9). All other functions expect a text that Clean or [Check] has accepted.
//
// An object may have a name twice (§4). The package passes such an object on. It is an error only
// if a value is looked up by that name.
//
// The package keeps no state. All functions may be called concurrently.
package rawjson
