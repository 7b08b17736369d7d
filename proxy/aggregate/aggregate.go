package aggregate

import (
	"context"
	"net/http"
	"time"

	"github.com/penstock/penstock/proxy/rawjson"
)

// Fetcher asks for one part. The request has a URL without scheme and authority. An error may tell what a client is to be told of it, by the
// methods that [Error] has.
type Fetcher interface {
	Fetch(ctx context.Context, req *http.Request) (*Answer, error)
}

// Gatherer is a Fetcher that gains by knowing how many calls of a foreach are about to come; done is called when they have ended.
type Gatherer interface {
	Gather(n int) (done func())
}

// OnError says what stands in the place of a part that fails.
type OnError uint8

const (
	Fail    OnError = iota // nothing: the whole fails
	Omit                   // the part is left out
	Null                   // null
	Default                // Part.Default
	Stale                  // what is stored of it, if anything is; else the whole fails
)

// Part is one of the calls that an answer is made of.
type Part struct {
	Name    string
	Fetcher Fetcher
	URL     Template
	// Each makes a call for each of the values that it leads to in another part, its first step; the part is the array of what they bring, in order.
	// The zero Path: there is one call.
	Each    rawjson.Path
	Limit   int           // the most values of Each; more fail the part
	AtOnce  int           // calls of Each under way at the same time
	Fields  []string      // of the client's request that are passed on, in canonical form
	Timeout time.Duration // 0: the whole's alone
	Select  rawjson.Path  // what is taken of the answer; the zero Path: all
	OnError OnError
	Default []byte // JSON
}

// Outcome is how asking for a part ended, for those who watch.
type Outcome string

const (
	Complete Outcome = "complete" // with what was asked for
	Replaced Outcome = "replaced" // by what OnError says
	Failed   Outcome = "failed"   // and the whole with it
)

// Config is what an Aggregate is made of.
type Config struct {
	Parts   []Part // in the order in which the answer has them
	Merge   Merge
	Timeout time.Duration
	// Capture gives the plain text of what the route's pattern captured.
	Capture func(req *http.Request, name string) (string, bool)
	// SilentTTL is how long an answer is fresh that says nothing of it.
	SilentTTL time.Duration
	TagField  string // the field that has the tags of an answer; "": none
	// Observe is told of each part that was asked for; nil: nobody watches. It may be called concurrently.
	Observe func(ctx context.Context, part string, outcome Outcome, took time.Duration)
	Now     func() time.Time
}

// Aggregate is an origin that makes its answers of several others'. It is immutable and may be used concurrently.
type Aggregate struct {
	Config
	index map[string]int // of Parts
	needs [][]int        // by part: those that its URL is made of
}

// New returns an Aggregate. What the configuration promises is not checked again: the parts depend on each other without a circle, and on parts
// that are there.
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

// needed are the parts that the URL of p is made of.
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

// Error is why there is no answer, and what a client is to be told.
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

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Status is the status to answer with.
func (e *Error) Status() int { return e.Code }

// Detail tells a client which part is to blame, and nothing of what stands behind the gateway.
func (e *Error) Detail() string {
	who := "what the answer is made of"
	if e.Part != "" {
		who = "part " + e.Part
	}
	switch e.Code {
	case http.StatusGatewayTimeout:
		return who + " did not come in time"
	case http.StatusServiceUnavailable:
		return who + " can't be asked for now"
	}
	return who + " brought nothing that can be used"
}

// ProxyStatus is the error type of RFC 9209 §2.3.
func (e *Error) ProxyStatus() string { return e.Kind }
