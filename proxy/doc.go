// Package proxy is the gateway: it compiles a configuration into an immutable Snapshot and answers requests by it.
//
// A request's life: the Guard of edge brings it into one canonical form or refuses it; the router finds its route; the route's handler
// applies the limits of the route and hands it to the cache, which answers it from its memory, from the tier that the instances share, from
// another request's fill, or through the route's upstream. A request keeps the Snapshot that it began with: Apply swaps in another one for
// those that come after. What is expensive to lose outlives a Snapshot in live: stored responses, fills under way, connections to upstreams
// that did not change, and this instance's part in the fleet.
//
// The fleet is all instances with one Redis: the tier of stored responses, the history of purges, and the leases by which one instance fills
// for all. No request depends on it. Without Redis configured there is none; while it is away each instance answers for itself.
//
// What is stored is done away with by purges, which the admin API takes (POST /purge) and which writes make of themselves. A purge names what
// it hits (a URL, a prefix, a tag, a host, a route, or all) and touches nothing that is stored: it is a moment in a history by which each
// stored response is judged when it is looked up.
//
// Only this package knows both the words of config and the types that they are compiled to.
package proxy
