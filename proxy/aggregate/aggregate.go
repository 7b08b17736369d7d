package aggregate

import (
	"context"
	"net/http"
	"time"

	"github.com/penstock/penstock/proxy/rawjson"
)

// Fetcher requests one part. The request's URL has no scheme and no authority. An error may have
// the methods of [Error], which say what to tell the client.
type Fetcher interface {
	Fetch(ctx context.Context, req *http.Request) (*Answer, error)
}

// Gatherer is a Fetcher that benefits from knowing how many calls of a foreach will follow. done
// must be called when they have ended.
type Gatherer interface {
	Gather(n int) (done func())
}

// OnError says what replaces a part that fails.
type OnError uint8

const (
	Fail    OnError = iota // nothing: the whole fails
	Omit                   // the part is left out
	Null                   // null
	Default                // Part.Default
	Stale                  // the part's stored response; without one, the whole fails
)

// Part describes one of the calls for a response.
type Part struct {
	Name    string
	Fetcher Fetcher
	URL     Template
	// Each is a path into another part; its first step is that part's name. One call is made for
	// each value found there, and the part is the array of their results, in order. If Each is the
	// zero Path, the part is one call.
	Each    rawjson.Path
	Limit   int           // the maximum number of values of Each; if there are more, the part fails
	AtOnce  int           // concurrent calls of Each
	Fields  []string      // fields of the client's request to forward, in canonical form
	Timeout time.Duration // 0 means only the whole's timeout applies
	Select  rawjson.Path  // the selected value of the response; the zero Path selects all
	OnError OnError
	Default []byte // JSON
}

// Outcome is the result of requesting a part, for observers.
type Outcome string

const (
	Complete Outcome = "complete" // the requested value
	Replaced Outcome = "replaced" // replaced according to OnError
	Failed   Outcome = "failed"   // failed, and with it the whole
)

// Config configures an Aggregate.
type Config struct {
	Parts   []Part // in the order of the response
	Merge   Merge
	Timeout time.Duration
	// Capture returns the plain text of a capture of the route's pattern.
	Capture func(req *http.Request, name string) (string, bool)
	// SilentTTL is the freshness lifetime of a response without explicit freshness.
	SilentTTL time.Duration
	TagField  string // the field that carries a response's tags; "" for no field
	// Observe, if not nil, is called for each requested part, possibly concurrently.
	Observe func(ctx context.Context, part string, outcome Outcome, took time.Duration)
	// Refused, if not nil, is called with the reason why a part's content cannot be used, whatever
	// replaces the part. It may be called concurrently.
	Refused func(ctx context.Context, part string, err error)
	Now     func() time.Time
	// Authorized, if not nil, reports whether a request without Authorization counts as one with it,
	// because a credential has let it in.
	Authorized func(*http.Request) bool
}

// Aggregate is an origin that combines its responses from those of others. It is immutable and safe
// for concurrent use.
type Aggregate struct {
	Config
	index map[string]int // of Parts
	needs [][]int        // for each part, the parts whose values are in its URL
}

// New returns an Aggregate. It relies on the checks of the configuration: each part depends only on
// parts that exist, and there are no cycles.
func New(c Config) *Aggregate {
	a := &Aggregate{Config: c, index: make(map[string]int, len(c.Parts))}
	for i := range c.Parts {
		a.index[c.Parts[i].Name] = i
	}
	for i := range c.Parts {
		a.needs = append(a.needs, a.needed(&c.Parts[i]))
	}
	return a
}

// needed returns the parts whose values are in the URL of p.
func (a *Aggregate) needed(p *Part) []int {
	var out []int
	for _, ref := range p.URL.Refs() {
		if ref.Part {
			out = append(out, a.index[ref.Name])
		}
	}
	if name, _ := p.Each.First(); name != "" {
		out = append(out, a.index[name])
	}
	return out
}

// Error says why there is no response, and what to tell the client.
type Error struct {
	Part string
	Code int
	Kind string // error type of RFC 9209 §2.3
	Err  error
}

// Error names the part.
func (e *Error) Error() string {
	if e.Part == "" {
		return e.Err.Error()
	}
	return "part " + e.Part + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Status returns the status to answer with.
func (e *Error) Status() int { return e.Code }

// Detail tells the client which part is at fault, and nothing about the servers behind the gateway.
func (e *Error) Detail() string {
	subject := "a part of the response"
	if e.Part != "" {
		subject = "part " + e.Part
	}
	switch e.Code {
	case http.StatusGatewayTimeout:
		return subject + " did not arrive in time"
	case http.StatusServiceUnavailable:
		return subject + " is not available now"
	}
	return subject + " sent no usable response"
}

// ProxyStatus returns the error type of RFC 9209 §2.3.
func (e *Error) ProxyStatus() string { return e.Kind }
