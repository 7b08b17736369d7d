// Package cachepolicy answers questions about HTTP caching and can do nothing. Every function is a function of its arguments:
// no clock, no randomness, no I/O, no goroutine. Time and chance come in as parameters.
//
// A shared cache asks it, in the order in which a request meets them:
//
//   - [Rules.Key]: may this request be answered from the cache at all, and under which key?
//   - [Select]: which of the stored responses could answer it? (RFC 9111 §4.1)
//   - [Rules.Decide]: may that one be used now? If not, what is to be asked of the origin? (RFC 9111 §4.2, RFC 5861, RFC 8246)
//   - [Rules.ApplyCacheControl]: what does the route make of the origin's Cache-Control?
//   - [Rules.Settle]: what does the origin's answer, or its failure, change? (RFC 9111 §3, §4.3, §4.4)
//   - [Evaluate], [PlanRange]: what of the stored response goes to this client? (RFC 9110 §13, §14)
//   - [AppendCacheStatus]: how is it told? (RFC 9211)
//   - [Rules.ExplainResponse], [Rules.Remedies]: what counted in all that, and what would have to change?
//
// Settle reads a response once and writes what matters for later into a [Meta]; Decide looks at nothing else of what is stored, and
// allocates nothing. Both give a [Reason] from a closed list, which is the word in Cache-Status, in metrics and in explanations.
//
// Whoever calls must know how to store, fetch and deliver; this package must not. It knows no connection, no store and no route but
// the [Rules] it was given, and a header is to it a map that it never changes unless it says so.
//
// Where the RFCs leave a choice, the choice and its reason stand at the branch that makes it. The tables in testdata are the
// specification by example: one line a case.
package cachepolicy
