// Package edge is what stands between the client and everything else: the guard that gives each request one canonical form or refuses it, and small
// middlewares around routes (HTTPS, body limits, header rules, error answers).
//
// It knows nothing of routes, caching or upstreams. What it learns of a client it notes in the request's observe.Event, so that nobody behind
// it needs to look at a field that a client could have forged.
package edge
