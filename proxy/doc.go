// Package proxy is the gateway: it starts, reloads and closes what the packages below it do.
//
// A Gateway runs one configuration at a time. Package build compiles the configuration into an
// immutable Snapshot, and package snapshot answers requests by it. A request keeps the Snapshot
// with which it began: Apply swaps in another one for later requests. State that is expensive to
// lose outlives a Snapshot in live: stored responses and this instance's part in the fleet (package
// fleet), fills under way (package cache), connections to upstreams that did not change (package
// pools), and queued writes (package write).
//
// The life of a request begins at its connection. The connection locates the request, and answers
// it if a response is in memory and the route's stages allow that. Otherwise the guard of edge
// brings the request into canonical form or refuses it, and the router finds its route. The request
// then passes the route's stages (edge.Stage) to the cache. The cache answers it from its memory,
// from the tier that the instances share, from another request's fill, or through the route's
// upstream. The later steps reuse the place that the connection has located (edge.Located).
//
// Purges remove stored responses. Operators send them to the admin API (POST /purge), and writes
// cause them. A purge names its targets (a URL, a prefix, a tag, a host, a route, or all) and
// changes no stored response. It is a moment in a history, and the cache judges each stored
// response by that history when it looks the response up.
package proxy
