// Package batch makes one call of many single reads (DataLoader): a [Loader] is the origin of a route whose objects the upstream gives many at a
// time. What it answers to a read is what the upstream would have answered to that read alone, so that whoever caches it need not know.
//
// # When a call is made
//
// A read that is the only one about goes at once: nothing is gained by having it wait. While a call is on its way, those that come gather, and
// become the next one as soon as the first returns, the window is over, or there are as many as one call may have. Under load the window so never
// begins to matter where the upstream is quicker than it; where it is slower, a read waits no longer than the window. Whoever knows that several
// reads are about to come says so with [Loader.Gather]; then the first waits for the others too.
//
// # Who shares a call
//
// Only reads whose forwarded fields are equal, by value and order. Forwarded is what came, but for what is about the hop, the trace, the client's
// address and its software (User-Agent, Referer, Sec-Fetch, Sec-CH-UA), what a cache asks with (conditions, ranges, Cache-Control) and what is
// always the same: JSON without a content coding is asked for. The client's own query is not forwarded.
//
// # What a read gets
//
// The bytes of its element, with the fields of the whole answer that hold for each of its elements, and a validator of its own. What is missing is
// answered with a status of its own; that the answer is fresh for an hour says nothing of what it lacks, so a missing one only keeps what forbids
// storing it, and how long it is remembered is for the route to say. A call that fails is made again once, for each of its members alone, unless
// the upstream asks to be left alone (429, 503); what then fails, fails with that status or error.
package batch
