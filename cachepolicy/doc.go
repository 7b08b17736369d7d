// Package cachepolicy makes the decisions of an HTTP cache and performs none of them. Every
// function depends on its arguments alone: it reads no clock, draws no random number, does no I/O
// and starts no goroutine. Time and chance are parameters.
//
// A shared cache calls it in the order in which a request meets the questions:
//
//   - [Rules.Key]: may the cache answer this request at all, and under which key?
//   - [Select]: which of the stored responses could answer it? (RFC 9111 §4.1)
//   - [Rules.Decide]: may the cache use that response now? If not, what must it ask the origin?
//     (RFC 9111 §4.2, RFC 5861, RFC 8246)
//   - [Rules.ApplyCacheControl]: which Cache-Control does the route give the origin's response?
//   - [Rules.Settle]: how does the origin's answer, or its failure, change the store? (RFC 9111 §3,
//     §4.3, §4.4)
//   - [Evaluate], [PlanRange]: which part of the stored response does this client get? (RFC 9110
//     §13, §14)
//   - [AppendCacheStatus]: how does the response tell the client about it? (RFC 9211)
//   - [Rules.ExplainResponse], [Rules.Remedies]: which facts decided, and which change would let
//     the cache answer?
//
// Settle reads a response once and writes the facts that later decisions need into a [Meta]. Decide
// reads nothing else of the stored response, and allocates nothing. Both return a [Reason] from a
// closed list. Cache-Status, metrics and explanations all use its word.
//
// [Rules.Shares] holds the rule for sharing. A request without a cookie may get any stored response
// that its key selects. A request with a cookie counts as one user's request. It shares a response
// in both directions, as the request that brings it and as the request that gets it, only if the
// origin or a cache_control rule declares the response reusable: by a lifetime above zero, or by
// public together with a lifetime from elsewhere. A lifetime that the route or a heuristic assumes
// declares nothing, because it does not say for whom the response is. Stale windows extend a
// lifetime and never create one. Cookies in the key and ignored cookies do not count. With
// [CookiesIgnore] no cookie counts, and with [CookiesBypass] a request with a cookie shares
// nothing. Whatever the cookies, a response without a lifetime answers another request only if the
// origin confirms it.
//
// The caller stores, fetches and delivers. This package must not know how: it has no connection, no
// store, and no knowledge of a route except the [Rules] that it is given. It does not change a
// header map unless the function's comment says so.
//
// If an RFC leaves a choice, the branch that makes the choice states it with the reason. The tables
// in testdata are the specification by example, one case on each line.
package cachepolicy
