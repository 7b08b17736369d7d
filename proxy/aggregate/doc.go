// Package aggregate makes one answer of several: the parts are asked for in parallel, each as soon as what its URL is made of is there, and put
// together as JSON. Towards the cache an [Aggregate] is an origin like any other, an http.RoundTripper; towards the parts it knows a [Fetcher] each,
// which is the cache again. So a part that may be reused costs nothing, and what the whole may be reused for follows from its parts.
//
// Values that go into a URL, from the client or from another part, are escaped for where they stand; what can't be a path segment (empty, a dot
// segment, a control character in it) fails the part.
package aggregate
