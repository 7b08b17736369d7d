package cache

import (
	"context"
	"net/http"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/fill"
	"github.com/penstock/penstock/proxy/store"
)

// Inquiry is the question to an Explainer, and receives its answer. A request carries it in its
// context.
type Inquiry struct {
	// Response is the assumed answer of the origin, in the form in which the origin sends it. Its
	// body is not read. nil: the answer is not known.
	Response *http.Response
	// Fetch makes the Explainer ask the origin instead. It applies to a GET or HEAD. The answer is
	// not stored.
	Fetch bool
	// Found receives the explanation from the Explainer. It stays nil if an earlier handler answers
	// the request.
	Found *Explanation
}

type questionKey struct{}

// WithQuestion returns a context that carries q to an Explainer.
func WithQuestion(ctx context.Context, q *Inquiry) context.Context {
	return context.WithValue(ctx, questionKey{}, q)
}

// Explanation describes the cache's treatment of a request, with the grounds for it.
type Explanation struct {
	Rules   *cachepolicy.Rules
	Request cachepolicy.Request
	Now     time.Time

	// Refusal is the reason why the request has no target upstream and therefore is refused; "": it
	// has a target.
	Refusal string
	// Target is the upstream's path and query.
	Target string
	// Key is set if the request may be answered from the cache.
	Key    cachepolicy.Key
	Params []cachepolicy.Param
	Asks   []cachepolicy.Ground // from the request's own directives
	Stored *Stored              // the stored response that the request selects; nil: no such response
	Other  []Variant            // the other stored variants under the key
	// Decision is Decide's result. It is set if the request has a key.
	Decision cachepolicy.Decision
	// Early is the share of such requests that refresh the stored response before it becomes stale.
	Early float64
	// BacksOff is true if the origin failed a moment ago and is therefore not asked now.
	BacksOff bool
	// Alone is true if earlier responses for this key were for one client alone. Requests then do
	// not wait for another request's call.
	Alone bool
	// Asked are the fields that a fill adds to the request: conditions, or the range of missing
	// bytes.
	Asked http.Header

	// Response describes the origin's answer; nil: it is not known, or the origin is not asked.
	Response *Response
	// Outcome is the content of the future Cache-Status. Whole is false if Cache-Status depends on
	// an answer of the origin that is not known.
	Outcome cachepolicy.CacheStatus
	Whole   bool
	// Status is the status of the client's answer; 0: it is not known.
	Status int
	// Coding is the coding of the delivered content.
	Coding Coding
	// CacheStatus is the value of Cache-Status, as far as it is known.
	CacheStatus string
}

// Stored is the stored response in an Explanation.
type Stored struct {
	Tier  string
	Entry *store.Entry
	Soft  bool // true if a soft purge has ended its lifetime
	// Doubted is true if this instance may have missed purges of other instances. The response is
	// then validated before each use.
	Doubted bool
	Vary    []cachepolicy.VaryField
}

// Variant is a stored response that the request does not get.
type Variant struct {
	Vary   []cachepolicy.VaryField
	Purged bool
	Cookie bool // true if the request has a cookie and the response is not declared reusable
}

// Response is the origin's answer with the results of Settle and its steps.
type Response struct {
	Assumed bool // true if the answer is not known: it counts as a 200 without caching fields
	Fetched bool
	Err     error // why there is no answer
	Status  int
	Header  http.Header // after the route's changes
	// Rule is the index of the applicable cache_control rule, or -1 if no rule applies. Rewritten
	// is true if the rule changed the header.
	Rule      int
	Rewritten bool
	Page      *fill.ErrorPage // the error page in its place
	Verdict   cachepolicy.Verdict
	Ruled     cachepolicy.RuleResult
	Remedies  []cachepolicy.Remedy
	Cacheable bool // true if the response is cacheable once the remedies, if any, are applied
}
