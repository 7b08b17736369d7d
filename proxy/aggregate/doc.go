// Package aggregate combines several responses into one. It requests the parts in parallel, each as
// soon as the values in its URL are known, and combines them as JSON. To the cache an [Aggregate]
// is an origin like any other, an http.RoundTripper. Each part is requested through a [Fetcher],
// which is the cache again. So a stored part costs no origin call, and the parts determine how long
// the whole may be reused.
//
// Values that go into a URL, from the client or from another part, are escaped for their position.
// If a value cannot be a path segment (empty, a dot segment, with a control character), the part
// fails.
package aggregate
