package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Answer is a response that a client has received.
type Answer struct {
	Status int
	Header http.Header
	Body   string
	Err    error // why the client has not received all of it
	Took   time.Duration
}

// Request is a client's request.
type Request struct {
	Method   string // "" means GET
	Host     string // "" means the constant Host
	Path     string
	Language string
	Body     string
}

// Get requests a path.
func (i *Instance) Get(path string) Answer { return i.Do(Request{Path: path}) }

// Do sends q and reads the whole response.
func (i *Instance) Do(q Request) Answer {
	if q.Method == "" {
		q.Method = http.MethodGet
	}
	if q.Host == "" {
		q.Host = Host
	}
	req, err := http.NewRequestWithContext(context.Background(), q.Method, i.URL+q.Path, strings.NewReader(q.Body))
	if err != nil {
		return Answer{Err: err}
	}
	req.Host = q.Host
	if q.Language != "" {
		req.Header.Set("Accept-Language", q.Language)
	}
	began := time.Now()
	resp, err := i.client.Do(req)
	if err != nil {
		return Answer{Err: err, Took: time.Since(began)}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return Answer{resp.StatusCode, resp.Header, string(body), err, time.Since(began)}
}

// Hit reports whether the response came from a cache.
func (a Answer) Hit() bool { return a.param("hit") == "true" }

// TTL returns the remaining freshness. It is negative if the response is stale.
func (a Answer) TTL() int {
	n, _ := strconv.Atoi(a.param("ttl"))
	return n
}

// param returns a parameter of Cache-Status: "" if it is absent, "true" if it has no value.
func (a Answer) param(name string) string {
	for param := range strings.SplitSeq(a.Header.Get("Cache-Status"), ";") {
		key, value, valued := strings.Cut(strings.TrimSpace(param), "=")
		if key == name && !valued {
			return "true"
		}
		if key == name {
			return value
		}
	}
	return ""
}

// Version returns the version of the origin at which the response was made, or 0 if it has none.
func (a Answer) Version() int64 {
	n, _ := strconv.ParseInt(a.Header.Get("X-Version"), 10, 64)
	return n
}

// Wrong returns an error unless the response is the origin's response to q at some version.
func (a Answer) Wrong(q Request) error {
	if q.Host == "" {
		q.Host = Host
	}
	if a.Err != nil {
		return a.Err
	}
	if want := Body(q.Host, q.Path, q.Language, a.Version()); a.Status != http.StatusOK || !strings.HasPrefix(a.Body, want) {
		return fmt.Errorf("%s: status %d, %.100q instead of %q", q.Path, a.Status, a.Body, want)
	}
	return nil
}

// String describes the response for messages of failed tests.
func (a Answer) String() string {
	return fmt.Sprintf("status %d, version %d, %s, after %v, %v", a.Status, a.Version(), a.Header.Get("Cache-Status"), a.Took.Round(time.Millisecond/10), a.Err)
}

// Readiness is the response of GET /readyz.
type Readiness struct {
	HTTP   int
	Status string
	Redis  string // up | degraded
	Body   string
}

// Ready asks whether the instance accepts traffic.
func (i *Instance) Ready() (r Readiness) {
	resp, err := i.client.Get(i.Admin + "/readyz")
	if err != nil {
		return Readiness{Body: err.Error()}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return Readiness{Body: err.Error()}
	}
	var said struct{ Status, Redis json.RawMessage }
	_ = json.Unmarshal(body, &said) // a body that is not JSON leaves the fields empty
	return Readiness{resp.StatusCode, state(said.Status), state(said.Redis), string(body)}
}

// state is a text, or the state or status of an object.
func state(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var object struct{ State, Status string }
	_ = json.Unmarshal(raw, &object) // a body that is not JSON leaves the fields empty
	return object.State + object.Status
}
