package cachepolicy

import (
	"net/http"
	"time"
)

// Request is a view of a client's request in canonical form. It refers to the caller's data, and
// this package does not keep it.
type Request struct {
	Method   string // as sent; upper case for the registered methods
	Scheme   string // "http" or "https"
	Host     string // canonical: lower case, no default port, no trailing dot
	Path     string // canonical escaped path, as the upstream gets it before any rewrite
	RawQuery string
	Header   http.Header
	HasBody  bool // a GET with a body is never answered from the cache
	// Credential identifies the credential by which the gateway let the request in; "" if it asked
	// for none. Such a request counts as one with Authorization (RFC 9111 §3.5), also if the
	// credential came in another field or is no longer in Header.
	Credential string
}

// HasAuthorization reports whether q has Authorization, or was let in by a credential.
func (q *Request) HasAuthorization() bool {
	return q.Credential != "" || len(q.Header["Authorization"]) > 0
}

// Failure says how an origin failed to answer.
type Failure uint8

const (
	FailureNone        Failure = iota // the origin answered
	FailureUnreachable                // no connection, or it was lost before a response: "disconnected" in RFC 9111 §4.2.4
	FailureTimeout                    // a timeout of the route or the upstream expired
	FailureInvalid                    // the origin's answer was not valid HTTP
	FailureOverload                   // the gateway refused the request, because a pool, queue or waiter limit was full
)

// Answer is the origin's answer, or its failure to answer.
type Answer struct {
	Failure Failure
	Status  int
	Header  http.Header // without hop-by-hop fields; this package never changes it
	// Stored is the header section of the stored response that is being validated or completed, or
	// nil. A 304, a 206 and the answer to a HEAD update it (RFC 9111 §3.2), and the fields of both
	// determine the new lifetime. The caller must set it whenever it passes a stored Meta to
	// Settle; otherwise Settle can't update the stored response. This package never changes it.
	Stored   http.Header
	Sent     time.Time // time at which the request was sent (RFC 9111 §4.2.3 request_time)
	Received time.Time // time at which the header section had arrived (response_time)
}

// Span is a byte range of a representation. First and Last are inclusive positions.
type Span struct{ First, Last int64 }

// Len returns the number of bytes in the span.
func (s Span) Len() int64 { return s.Last - s.First + 1 }

// Flags are the facts of a stored response that decide about its reuse.
type Flags uint16

const (
	// FlagMustRevalidate: must-revalidate, proxy-revalidate or s-maxage. The response is not served
	// stale (§5.2.2.2, .8, .10), except in a window that the origin sent beside s-maxage.
	FlagMustRevalidate Flags = 1 << iota
	FlagNoCache              // unqualified no-cache: every use needs validation (§5.2.2.4)
	FlagImmutable            // RFC 8246
	FlagHeuristic            // the lifetime is heuristic (§4.2.2)
	FlagAuthorized           // stored although its request had Authorization, as §3.5 allows
	FlagInconsistent         // a 206 whose content is shorter than its Content-Range says; it is replayed, never combined
	FlagDeclared             // the response is declared reusable, so requests with cookies share it (see Rules.Shares)
	FlagSubstitute           // a custom error page, stored instead of the origin's answer; never validated
)

// Meta holds the facts of a stored response that decisions need, so that they don't parse it again.
// It is immutable once stored.
type Meta struct {
	Status       int
	Flags        Flags
	Born         time.Time     // time of age zero: response_time - corrected_initial_age (RFC 9111 §4.2.3)
	Received     time.Time     // time of receipt or of the last validation
	Lifetime     time.Duration // freshness lifetime, counted from Born, after jitter
	StaleRevalid time.Duration // stale-while-revalidate window after Lifetime (RFC 5861 §3)
	StaleError   time.Duration // stale-if-error window after Lifetime (RFC 5861 §4); negative: never in place of an error (see noStaleError)
	FillTime     time.Duration // time that the origin took; the delta of early refresh
	ETag         string        // as received; "" if absent
	LastModified time.Time     // zero if absent or not a valid date
	Date         time.Time     // the Date field, or Received without one
	Vary         Vary          // the selecting request fields and their values; "" if the response does not vary
	Language     string        // Content-Language in lower case
	Total        int64         // length of the complete representation; -1 if unknown
	Spans        []Span        // sorted, disjoint spans of the stored bytes; nil if the stored body is complete
	Seq          uint64        // order of storing: of two matching responses, the greater is newer
}

// Facts returns m itself, so that Select accepts types that embed Meta.
func (m *Meta) Facts() *Meta { return m }

// Complete reports whether the whole representation is stored.
func (m *Meta) Complete() bool { return m.Spans == nil }

// Age returns the current age of the response at now. It is never negative (RFC 9111 §4.2.3).
func (m *Meta) Age(now time.Time) time.Duration { return max(0, now.Sub(m.Born)) }

// Fresh reports whether the response's age at now is below its freshness lifetime (RFC 9111 §4.2).
func (m *Meta) Fresh(now time.Time) bool { return m.Age(now) < m.Lifetime }

// Action is the cache's first step for a request, before it asks the origin.
type Action uint8

const (
	Pass            Action = iota // zero value: bypass the cache and forward
	Fetch                         // no usable response is stored: ask the origin, and store its response if allowed
	Serve                         // fresh: answer from the store
	ServeStale                    // stale, but allowed (max-stale)
	ServeAndRefresh               // answer from the store and refresh in the background (stale-while-revalidate, early refresh)
	Revalidate                    // a response is stored, but must be validated with the origin first
	Refuse                        // only-if-cached without a usable response: 504 (RFC 9111 §5.2.1.7)
)

// Decision says whether the stored response may be reused for a request.
type Decision struct {
	Action Action
	Reason Reason
	Age    time.Duration // of the stored response; 0 without one
	TTL    time.Duration // remaining lifetime; negative if stale
	// Ask is the span of the missing bytes, if Action is Fetch or Revalidate and the cache should
	// ask only for them with Range (RFC 9111 §3.4). Last < 0 means "to the end". HasAsk is true if
	// Ask is set.
	Ask    Span
	HasAsk bool
}

// Effect is the change that an origin's answer causes.
type Effect uint8

const (
	Relay     Effect = iota // zero value: give the answer to this client only, and store nothing
	Store                   // store the answer (a complete response, or a 206 with its spans in Meta.Spans) and share it
	Freshen                 // 304: the stored response stays, with Verdict.Meta and Verdict.Header
	Combine                 // 206 that joins the stored part; Verdict.Meta describes the union
	KeepStale               // the origin failed: serve the stored stale response
	Drop                    // store nothing, and remove the stored response
	Refetch                 // a part or a 304 that does not fit the stored response: ask again without Range and conditions
)

// Verdict says how an origin's answer changes the store.
type Verdict struct {
	Effect Effect
	Reason Reason // why the answer was not stored, or why the stale response is kept
	Meta   Meta   // for Store, Freshen and Combine
	// Header is set for Freshen and Combine. It holds the fields of the stored response after the
	// update by the answer (RFC 9111 §3.2), with the rules' Cache-Control and without fields that
	// must not be stored. The caller owns it.
	Header http.Header
	// Invalidate lists further canonical absolute URLs that an unsafe method has made stale (§4.4).
	// InvalidateSelf covers the request's own URL.
	Invalidate []string
	// InvalidateSelf is true if the stored responses of the target URI must be invalidated (§4.4).
	InvalidateSelf bool
}
