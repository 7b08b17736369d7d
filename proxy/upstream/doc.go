// Package upstream sends a request to one of the targets of an upstream and brings its answer back: it picks the target, keeps and bounds the
// connections, bounds every wait, removes what belongs to one hop, and says of each failure what kind it was.
//
// A Pool is an http.RoundTripper. It knows nothing of caching, routes or configuration files, and it never decides what a client is told:
// it returns the answer or an *Error, and the caller chooses. It does not try again, with one exception: a request that met a connection
// which had gone stale while it was idle, and that can be sent twice without harm, is sent once more.
package upstream
