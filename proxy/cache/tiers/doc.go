// Package tiers finds stored responses in the tiers of the cache and stores responses there.
//
// A lookup picks the variant for a request, judges it by the history of purges and by the rules of
// the route, and asks cachepolicy to decide. Looking up has no effect. A response is stored only if
// its object was not invalidated since the call for it began.
//
// There are two tiers: the memory of the process and, if the operator configures it, a tier that
// all instances share ([Shared]).
package tiers
