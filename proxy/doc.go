// Package proxy is the gateway: it compiles a configuration into an immutable Snapshot and answers requests by it.
//
// A request's life: the Guard of edge brings it into one canonical form or refuses it; the router finds its route; the route's handler
// applies the limits of the route and hands it to the cache, which answers it from its store, from another request's fill, or through
// the route's upstream. A request keeps the Snapshot that it began with: Apply swaps in another one for those that come after. What is
// expensive to lose outlives a Snapshot in Live: stored responses, fills under way, connections to upstreams that did not change.
//
// Only this package knows both the words of config and the types that they are compiled to.
package proxy
