package cachepolicy

import (
	"net/http"
	"time"
)

// Request is a view of a client's request in canonical form: it borrows and is never kept.
type Request struct {
	Method   string // as sent, upper case for the registered methods
	Scheme   string // "http" or "https"
	Host     string // canonical: lower case, no default port, no trailing dot
	Path     string // canonical escaped path, as the upstream will see it before any rewrite
	RawQuery string
	Header   http.Header
	HasBody  bool // a GET with a body is never answered from the cache
}

// Failure says how an origin failed to answer.
type Failure uint8

const (
	FailureNone        Failure = iota // the origin answered
	FailureUnreachable                // no connection, or it was lost before a response: RFC 9111 §4.2.4 "disconnected"
	FailureTimeout                    // a bound of the route or upstream was reached
	FailureInvalid                    // what came was not a valid HTTP response
	FailureOverload                   // refused by the gateway itself: pool, queue or waiters full
)

// Answer is what the origin said, or how it failed to.
type Answer struct {
	Failure Failure
	Status  int
	Header  http.Header // hop-by-hop fields already removed; never changed by this package
	// Stored is the header section of the stored response that is being validated or completed, nil when nothing is. A 304, a 206
	// and the answer to a HEAD update it (RFC 9111 §3.2), and the new life follows from the fields of both. It must
	// be set whenever Settle is given a stored Meta, else what is stored can't be updated; it is never changed.
	Stored   http.Header
	Sent     time.Time // when the request was sent (RFC 9111 §4.2.3 request_time)
	Received time.Time // when the header section had arrived (response_time)
}

// Span is a byte range of a representation: First and Last are inclusive positions.
type Span struct{ First, Last int64 }

// Len is the number of bytes in the span.
func (s Span) Len() int64 { return s.Last - s.First + 1 }

// Flags are the facts of a stored response that decide its reuse.
type Flags uint16

const (
	FlagMustRevalidate Flags = 1 << iota // must-revalidate, proxy-revalidate or s-maxage: not served stale (§5.2.2.2, .8, .10) but in a window the origin named beside s-maxage
	FlagNoCache                          // unqualified no-cache: every use needs validation (§5.2.2.4)
	FlagImmutable                        // RFC 8246
	FlagHeuristic                        // the lifetime was guessed (§4.2.2)
	FlagAuthorized                       // stored although its request had Authorization, as §3.5 allows
	FlagInconsistent                     // a 206 whose content is shorter than its Content-Range says: replayed, never combined
)

// Meta is all that must be known of a stored response to decide about it without parsing it again. It is immutable once stored.
type Meta struct {
	Status       int
	Flags        Flags
	Born         time.Time     // when its age was zero: response_time - corrected_initial_age (RFC 9111 §4.2.3)
	Received     time.Time     // when it was received or last validated
	Lifetime     time.Duration // freshness lifetime, counted from Born (jitter included)
	StaleRevalid time.Duration // stale-while-revalidate window after Lifetime (RFC 5861 §3)
	StaleError   time.Duration // stale-if-error window after Lifetime (RFC 5861 §4); negative: the origin forbids it, also when it can not be reached
	FillTime     time.Duration // how long the origin took; the delta of early refresh
	ETag         string        // as received, "" when there is none
	LastModified time.Time     // zero when there is none or it is no valid date
	Date         time.Time     // the Date field, or Received where it has none
	Vary         Vary          // which request fields selected it, with their values; "" when nothing
	Language     string        // Content-Language, folded to lower case
	Total        int64         // length of the complete representation; -1 when not known
	Spans        []Span        // nil: the stored body is complete. Else the sorted, disjoint spans that are held
	Seq          uint64        // order of storing: of two that match, the greater is the newer
}

// Facts returns m itself, so that types which embed Meta can be given to Select.
func (m *Meta) Facts() *Meta { return m }

// Complete reports whether the whole representation is held.
func (m *Meta) Complete() bool { return m.Spans == nil }

// Age is the current age of the response at now, never negative (RFC 9111 §4.2.3).
func (m *Meta) Age(now time.Time) time.Duration { return max(0, now.Sub(m.Born)) }

// Fresh reports whether the response has not outlived its freshness lifetime at now (RFC 9111 §4.2).
func (m *Meta) Fresh(now time.Time) bool { return m.Age(now) < m.Lifetime }

// Action is what is to be done about a request before the origin is asked.
type Action uint8

const (
	Pass            Action = iota // zero value: keep away from the cache, forward
	Fetch                         // nothing usable is stored: ask the origin, store what may be stored
	Serve                         // fresh: answer from the store
	ServeStale                    // stale, but allowed (max-stale)
	ServeAndRefresh               // answer from the store and refresh in the background (stale-while-revalidate, early refresh)
	Revalidate                    // stored, but to be validated with the origin first
	Refuse                        // only-if-cached and nothing usable: 504 (RFC 9111 §5.2.1.7)
)

// Decision answers "may the stored response be reused for this request?".
type Decision struct {
	Action Action
	Reason Reason
	Age    time.Duration // of the stored response; 0 when nothing is stored
	TTL    time.Duration // lifetime left, negative when stale
	// Ask is set with Fetch or Revalidate when only these bytes are missing and are to be asked for with Range
	// (RFC 9111 §3.4). Last < 0 means "to the end". HasAsk tells whether it is set.
	Ask    Span
	HasAsk bool
}

// Effect is what an origin's answer changes.
type Effect uint8

const (
	Relay     Effect = iota // zero value: give it to this client alone, store nothing
	Store                   // store it (a complete response, or a 206 whose spans are in Meta.Spans) and share it
	Freshen                 // 304: the stored response lives on with Verdict.Meta and FreshenHeader
	Combine                 // 206 that joins the stored partial: Verdict.Meta describes the union
	KeepStale               // the origin failed: serve the stored stale response
	Drop                    // store nothing and remove what is stored
	Refetch                 // a partial or 304 that can't be used with what is stored: ask again without Range and conditions
)

// Verdict answers "what does this answer change?".
type Verdict struct {
	Effect Effect
	Reason Reason // why it was not stored, or why stale is kept
	Meta   Meta   // for Store, Freshen and Combine
	// Header is set with Freshen and Combine: the fields of the stored response as the answer has made them (RFC 9111 §3.2), with the
	// rules' Cache-Control and without what is not stored. It is the caller's own.
	Header     http.Header
	Invalidate []string // further URLs, canonical absolute, that an unsafe method has made stale (§4.4); its own URL is implied by InvalidateSelf
	// InvalidateSelf is set when the target URI's stored responses are to be invalidated (§4.4).
	InvalidateSelf bool
}
