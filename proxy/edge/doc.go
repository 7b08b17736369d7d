// Package edge holds the handlers between the client and the routes: the guard, which gives each
// request one canonical form or refuses it, and small middlewares (HTTPS, body limits, header
// rules, error responses).
//
// It does not know routes, caching or upstreams. It records the facts about the client in the
// request's observe.Event, so that no later stage needs to read a field that a client could have
// forged.
package edge
