// Package aggregate answers one request from several calls, made in parallel, as an origin: an http.RoundTripper. A call that needs a field of another's answer
// waits for that one alone.
//
// Each call goes through a [Caller], which is the cache: it has a key, a life and a flight of its own. What the answers say of caching holds for what is made of
// them (cachepolicy's Derive). Values are put together as the bytes that they came in. The package knows no routes, no configuration and no upstreams.
package aggregate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/rawjson"
	"github.com/penstock/penstock/proxy/urltemplate"
)

// Caller makes the calls of a part.
type Caller interface {
	http.RoundTripper
	// Stale answers from what is stored, if that may be used when the origin fails.
	Stale(*http.Request) (*http.Response, bool)
}

// Gate is told how many requests are on their way to a batch, so that none waits for others that do not come.
type Gate interface {
	Enter(n int)
	Leave(n int)
}

// OnError says what becomes of the answer where a part can't be had.
type OnError uint8

const (
	Fail    OnError = iota // the answer fails as the part did
	Omit                   // it goes without the part
	Null                   // null stands in the part's place
	Default                // Part.Default does
	Stale                  // the part's last answer does; where none is stored it is as with Fail
)

// Part is one of the calls.
type Part struct {
	Name    string
	Call    Caller
	Target  *urltemplate.Template // of the URL; {} is the element of a Foreach
	Host    string                // "": that of the whole request
	Scheme  string                // for the key; "": that of the whole request
	Fields  []string              // request fields that are passed on, in canonical form
	Timeout time.Duration         // 0: that of the whole
	Select  rawjson.Path          // of its answer
	OnError OnError
	Default []byte
	// Foreach has the part called once for each value that the path leads to, of which the first step is another part's name.
	Foreach rawjson.Path
	Limit   int  // of values; more are an error
	Gate    Gate // of the batch that the calls go through; nil: none
}

// Limits bound what one answer may cost.
type Limits struct {
	PartBytes int64 // of one call's answer, decoded
	Bytes     int64 // of all answers
	Depth     int   // of their nesting
	Parallel  int   // calls at once, those that go through a batch left out
}

// Config is what an Aggregate is made of.
type Config struct {
	Name     string   // of the gateway, in Cache-Status and Proxy-Status
	Captured []string // what the request's path holds, segment by segment
	Parts    []Part   // in the order of the answer
	Deep     bool     // objects are merged; else each part stands under its name
	Timeout  time.Duration
	Retry    time.Duration // how long an answer that lacks a part is kept, where the part does not say
	Limits   Limits
	Rules    *cachepolicy.Rules
	TagField string // the response field with tags, which the whole inherits; "": none
	Now      func() time.Time
	// Prepare puts what the request's path holds into the context of all calls; may be nil.
	Prepare func(ctx context.Context, captured []string) context.Context
	// Observe is told of each part when it begins, and what it returns when it has ended, with the answer's Cache-Status member. May be nil.
	Observe func(ctx context.Context, part string) (context.Context, func(status string, err error))
}

// Aggregate is the origin. It is immutable and may be used concurrently.
type Aggregate struct {
	Config
	plans []plan
}

var _ http.RoundTripper = (*Aggregate)(nil)

// plan is where a part's values come from.
type plan struct {
	sources map[string]source // by what stands between the braces
	foreach source
	needs   []int // parts that it waits for
}

// source is where a value comes from: what the request's path holds, the element of a Foreach, or a part's answer.
type source struct {
	captured int // -1: not
	part     int // -1: not
	path     rawjson.Path
}

// New makes an Aggregate, or says which name stands for nothing, or which parts wait for each other.
func New(c Config) (*Aggregate, error) {
	a := &Aggregate{Config: c, plans: make([]plan, len(c.Parts))}
	for i := range c.Parts {
		if err := a.plan(i); err != nil {
			return nil, fmt.Errorf("part %s: %w", c.Parts[i].Name, err)
		}
	}
	if a.hasCycle() {
		return nil, errors.New("parts wait for each other")
	}
	return a, nil
}

func (a *Aggregate) plan(i int) error {
	p, to := &a.Parts[i], &a.plans[i]
	to.sources = make(map[string]source)
	if !p.Foreach.Whole() {
		name, rest := p.Foreach.First()
		at := a.index(name)
		if at < 0 {
			return fmt.Errorf("there is no part %q", name)
		}
		to.foreach = source{part: at, path: rest, captured: -1}
		to.needs = append(to.needs, at)
	}
	for _, name := range p.Target.Names() {
		s, err := a.source(name)
		if err != nil {
			return err
		}
		to.sources[name] = s
		if s.part >= 0 && !slices.Contains(to.needs, s.part) {
			to.needs = append(to.needs, s.part)
		}
	}
	return nil
}

func (a *Aggregate) index(name string) int {
	return slices.IndexFunc(a.Parts, func(p Part) bool { return p.Name == name })
}

func (a *Aggregate) source(name string) (source, error) {
	none := source{captured: -1, part: -1}
	if name == "" {
		return none, nil
	}
	if i := slices.Index(a.Captured, name); i >= 0 {
		return source{captured: i, part: -1}, nil
	}
	path, err := rawjson.ParsePath(name)
	if err != nil {
		return none, err
	}
	first, rest := path.First()
	if at := a.index(first); at >= 0 {
		return source{captured: -1, part: at, path: rest}, nil
	}
	return none, fmt.Errorf("{%s} stands for nothing", name)
}

// hasCycle takes away what waits for nothing until nothing is left.
func (a *Aggregate) hasCycle() bool {
	done := make([]bool, len(a.plans))
	for range a.plans {
		moved := false
		for i, p := range a.plans {
			if !done[i] && !slices.ContainsFunc(p.needs, func(n int) bool { return !done[n] }) {
				done[i], moved = true, true
			}
		}
		if !moved {
			break
		}
	}
	return slices.Contains(done, false)
}

// captured reads what a request's path holds. Its segments are values, each escaped as one.
func captured(u *url.URL) ([]string, error) {
	segments := strings.Split(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
	for i, s := range segments {
		plain, err := url.PathUnescape(s)
		if err != nil {
			return nil, err
		}
		segments[i] = plain
	}
	return segments, nil
}
