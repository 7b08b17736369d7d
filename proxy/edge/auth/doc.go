// Package auth decides whether a client may use a route, by the credential that its request carries.
//
// The rule behind a cache: a client gets a response of the route, stored or not, only if its own
// request has been let in. Each request is judged, before the cache sees it, before it joins the fill
// of another request, and before a connection answers it with a stored response. A request that is
// let in counts as one with Authorization (RFC 9111 section 3.5), whichever field or parameter
// carried its credential, and also if the credential is taken off before the upstream. So with
// `cache.authorization: rfc` the cache shares a response among authorised clients only if the
// response says public, s-maxage or must-revalidate; with `key` each credential has its own stored
// responses; with `never` nothing is stored.
//
// The rule covers the requests of clients to this route. An aggregate that reads a part through the
// route does not pass its stages, so the aggregate needs its own. The state of a queued write, at the
// path that the gateway gave to the writer, is not on the route. Neither are the admin API, and
// shared caches between the gateway and its clients: those follow the Cache-Control of the response.
//
// The package does not know of caches, routes or upstreams.
package auth
