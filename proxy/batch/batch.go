package batch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/penstock/penstock/proxy/rawjson"
)

// Outcome is the result of a call, for observers.
type Outcome string

const (
	Complete Outcome = "complete" // each id has an element or is missing
	Retried  Outcome = "retried"  // the call failed, and its members are retried one by one
	Failed   Outcome = "failed"   // the call failed, and its members got the error
)

// Config configures a Loader.
type Config struct {
	Origin http.RoundTripper // answers for many ids, without a content coding
	// Path is the path and query for the origin, such as /items?ids={ids}. {ids} stands in the
	// query; other names are captures.
	Path string
	// ID is the name of the capture that holds the id.
	ID string
	// Capture returns the plain text of a capture of the route's pattern.
	Capture func(req *http.Request, name string) (string, bool)
	Window  time.Duration // the maximum time that a read waits for others
	Max     int           // maximum number of ids in one call
	Items   rawjson.Path  // the path of the array in the response
	Key     rawjson.Path  // the path of the id in an element
	Missing int           // the status for an id that the response lacks
	MaxBody int64         // maximum bytes of a response; a larger one is an error
	// Fields lists further fields of the whole response that hold for each element, in canonical
	// form.
	Fields []string
	// IgnoreCookies allows storing the elements of a response that sets a cookie, without the
	// cookie. If it is false, such elements are private to the requesting client.
	IgnoreCookies bool
	// Member, if not nil, returns the name of the purpose of a read from its context. Members gives
	// the names to the origin.
	Member func(ctx context.Context) string
	// Refused, if not nil, is called with the reason why a response or one of its elements cannot
	// be used. It may be called concurrently.
	Refused func(err error)
	// Observe, if not nil, is called for each call to the origin, possibly concurrently.
	Observe func(size int, outcome Outcome, took time.Duration)
	Now     func() time.Time
}

const (
	// maxURL bounds the path and query of a call: by default, servers accept a request line of 8
	// KiB.
	maxURL = 7 << 10
	// singles is the number of concurrent retries of a failed call's members.
	singles = 8
)

// Loader is an http.RoundTripper that makes one call from many reads. It is safe for concurrent
// use. It has no goroutines while no RoundTrip is under way.
type Loader struct {
	Config
	path template

	misfits misfits
	mu      sync.Mutex
	groups  map[string]*group // groups with a pending or running call
	crowds  int               // number of Gather announcements in force
}

// New returns a Loader, or an error if c.Path is invalid.
func New(c Config) (*Loader, error) {
	path, err := parseTemplate(c.Path)
	if err != nil {
		return nil, fmt.Errorf("path: %w", err)
	}
	return &Loader{Config: c, path: path, groups: make(map[string]*group)}, nil
}

// Gather announces about n reads. Until done is called, but at most for the window, a first read
// waits for others too.
func (l *Loader) Gather(n int) (done func()) {
	if n < 2 {
		return func() {}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.crowds++
	over := sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.crowds--
	})
	timer := time.AfterFunc(l.Window, over)
	return func() {
		timer.Stop()
		over()
	}
}

// RoundTrip answers a read from a call that it may share with others. It returns when the request's
// context ends; the call continues while it has other members.
func (l *Loader) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		_ = req.Body.Close() // the body is not read
	}
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		return respond(req, refusal(http.StatusMethodNotAllowed, http.Header{"Allow": {"GET, HEAD"}})), nil
	}
	id, ok := l.Capture(req, l.ID)
	if !ok || checkID(id) != nil || l.path.splits(id) {
		return respond(req, refusal(http.StatusBadRequest, http.Header{})), nil
	}
	a, err := l.ask(req)
	if err != nil {
		return respond(req, refusal(http.StatusBadRequest, http.Header{})), nil
	}
	if len(a.before)+len(a.after)+len(url.QueryEscape(id)) > maxURL {
		return respond(req, refusal(http.StatusRequestURITooLong, http.Header{})), nil
	}
	member := ""
	if l.Member != nil {
		member = l.Member(req.Context())
	}
	c, s := l.join(a, id, member)
	select {
	case <-s.done:
	case <-req.Context().Done():
		l.leave(c, s)
		return nil, fmt.Errorf("waiting for a batch: %w", context.Cause(req.Context()))
	}
	if s.err != nil {
		return nil, s.err
	}
	return respond(req, s.result), nil
}

// maxNamed is the maximum number of members of a call that are named.
const maxNamed = 32

type membersKey struct{}

// Members returns the names of the first members of the call with this context; see
// [Config].Member.
func Members(ctx context.Context) []string {
	members, _ := ctx.Value(membersKey{}).([]string)
	return members
}

// checkID returns an error if id is empty, not UTF-8 or has control characters.
func checkID(id string) error {
	switch {
	case id == "":
		return errors.New("the id is empty")
	case !utf8.ValidString(id):
		return errors.New("the id is not UTF-8")
	case strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }):
		return errors.New("the id has a control character")
	}
	return nil
}

// Error says why there is no response, and what to tell the client.
type Error struct {
	Kind string // error type of RFC 9209 §2.3
	Err  error
}

// Error returns the message.
func (e *Error) Error() string { return "the response to a batch cannot be used: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Status returns the status to answer with.
func (e *Error) Status() int { return http.StatusBadGateway }

// ProxyStatus returns the error type of RFC 9209 §2.3.
func (e *Error) ProxyStatus() string { return e.Kind }
