// Package batch turns many single reads into one call, like DataLoader. A [Loader] is the origin of
// a route whose upstream can return many objects at once. It answers each read as the upstream
// would have answered it alone, so the cache in front needs not know.
//
// # When a call is made
//
// If no other read is under way, a read is sent at once: waiting would gain nothing. While a call
// is under way, further reads gather. They are sent as the next call when the first one returns,
// when the window ends, or when they are as many as one call may have. So under load the window
// hardly matters if the upstream is faster than the window; if it is slower, a read waits at most
// for the window. A caller that knows that several reads will follow says so with [Loader.Gather];
// then the first read waits for the others too.
//
// # Which reads share a call
//
// Only reads whose forwarded fields are equal, in values and order. All fields are forwarded,
// except for fields about the hop, the trace, the client's address and software (User-Agent,
// Referer, Sec-Fetch, Sec-CH-UA), and the fields of caches (conditions, ranges, Cache-Control).
// Accept and Accept-Encoding are fixed: JSON without a content coding. The client's own query is
// not forwarded.
//
// # The response to a read
//
// A read gets the bytes of its element, the header fields of the whole response that hold for each
// element, and a validator of its own. A missing element gets its own status. The freshness of the
// whole response does not apply to it, so it keeps only the directives that forbid storing; the
// route decides how long it is cached. If a call fails, each of its reads is retried once alone,
// unless the upstream asks for fewer requests (429, 503). A retry that fails determines the status
// or error of its read.
package batch
