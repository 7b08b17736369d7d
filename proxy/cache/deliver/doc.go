// Package deliver writes responses to clients: stored responses, responses whose body is still
// growing, an origin's responses for one client alone, and the gateway's own answers to failures.
//
// It knows the client's request and the response. It does not know stores, flights, origins or
// rules: the cache chooses the response, and a [Delivery] writes it. This package applies
// conditions, ranges and codings, sends trailers, upgrades connections, and writes the fields that
// each response has of its own.
package deliver
