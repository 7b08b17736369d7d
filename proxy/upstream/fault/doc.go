// Package fault names the failures between the gateway and a target. An Error has the kind of the
// failure in the vocabulary of RFC 9209. Classify finds the kind of any other error. If an error
// can mean several things, the Phase of the attempt decides. The package knows nothing of
// connections or of further attempts.
package fault
