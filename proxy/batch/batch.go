package batch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/penstock/penstock/proxy/rawjson"
)

// Outcome is how a call ended, for those who watch.
type Outcome string

const (
	Complete Outcome = "complete" // each id has its element, or is missing
	Retried  Outcome = "retried"  // it failed, and its members are asked for one by one
	Failed   Outcome = "failed"   // its members are told so
)

// Config is what a Loader is made of.
type Config struct {
	Origin http.RoundTripper // is asked for many; its answers have no content coding
	// Path is what the origin is asked for, such as /items?ids={ids}. {ids} stands in the query; other names are captures.
	Path string
	// ID is the name of the capture that is the id.
	ID string
	// Capture gives the plain text of what the route's pattern captured.
	Capture func(req *http.Request, name string) (string, bool)
	Window  time.Duration // the longest that a read waits for others
	Max     int           // ids of one call
	Items   rawjson.Path  // where the array is in the answer
	Key     rawjson.Path  // where the id is in an element
	Missing int           // the status for an id that the answer does not have
	MaxBody int64         // bytes of an answer; larger ones have failed
	// Fields are those of the whole answer that hold for each element, beside the ones that HTTP itself has; in canonical form.
	Fields []string
	// IgnoreCookies lets elements of an answer that sets a cookie be stored, without it. Otherwise they are for those alone who asked.
	IgnoreCookies bool
	// Member names what is read for in the context of a read; Members gives the names to the origin. nil: nobody wants to know.
	Member func(ctx context.Context) string
	// Observe is told of each call; nil: nobody watches. It may be called concurrently.
	Observe func(size int, outcome Outcome, took time.Duration)
	Now     func() time.Time
}

const (
	// maxURL is the longest path and query that a call is made with: servers take 8 KiB of request line, by default.
	maxURL = 7 << 10
	// singles is how many of a failed call's members are asked for at the same time.
	singles = 8
)

// Loader is an http.RoundTripper that makes one call of many reads. It may be used concurrently. It has no goroutine while no RoundTrip is under way.
type Loader struct {
	Config
	path template

	mu     sync.Mutex
	groups map[string]*group // those with a call that gathers or is under way
	crowds int               // how many have said that several reads are about to come
}

// New returns a Loader, or why c can't be one.
func New(c Config) (*Loader, error) {
	path, err := parseTemplate(c.Path)
	if err != nil {
		return nil, fmt.Errorf("path: %w", err)
	}
	return &Loader{Config: c, path: path, groups: make(map[string]*group)}, nil
}

// Gather says that about n reads are going to come now, until done is called. For as long as the window then not even the first goes alone.
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

// RoundTrip answers a read out of a call that it may share with others. It ends with the request's context; the call goes on while anybody waits for it.
func (l *Loader) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		_ = req.Body.Close() // nothing is read of it
	}
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		return respond(req, refusal(http.StatusMethodNotAllowed, http.Header{"Allow": {"GET, HEAD"}})), nil
	}
	id, ok := l.Capture(req, l.ID)
	if !ok || checkID(id) != nil {
		return respond(req, refusal(http.StatusBadRequest, http.Header{})), nil
	}
	a, err := l.ask(req)
	if err != nil {
		return respond(req, refusal(http.StatusBadRequest, http.Header{})), nil
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

// maxNamed is how many members of a call are named.
const maxNamed = 32

type membersKey struct{}

// Members are the first of those that the call with this context is made for, as [Config].Member names them.
func Members(ctx context.Context) []string {
	members, _ := ctx.Value(membersKey{}).([]string)
	return members
}

// checkID refuses what no id is.
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

// Error is why there is no answer, and what a client is to be told.
type Error struct {
	Kind string // error type of RFC 9209 §2.3
	Err  error
}

// Error says what went wrong.
func (e *Error) Error() string { return "the answer to a batch can't be used: " + e.Err.Error() }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Status is the status to answer with.
func (e *Error) Status() int { return http.StatusBadGateway }

// ProxyStatus is the error type of RFC 9209 §2.3.
func (e *Error) ProxyStatus() string { return e.Kind }
