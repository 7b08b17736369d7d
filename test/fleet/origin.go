package fleet

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// hidden is the request field in which an instance names itself to the origin.
const hidden = "X-Instance"

// Call is a request that the origin has received.
type Call struct {
	Method, Host, Path string
	Instance           string // the instance that made it
	Key                string // its Idempotency-Key
}

// Origin answers every request with its path and with the version at the time of the request. Its
// responses stay fresh beyond the end of a test.
type Origin struct {
	*httptest.Server
	version atomic.Int64
	delay   atomic.Int64
	hold    atomic.Pointer[func(Call)]
	refuse  atomic.Bool
	mu      sync.Mutex
	calls   []Call
}

// NewOrigin starts an origin at version 1. It stops when the test ends.
func NewOrigin(tb testing.TB) *Origin {
	o := &Origin{}
	o.version.Store(1)
	o.Server = httptest.NewServer(o)
	tb.Cleanup(o.Close)
	return o
}

// Version returns the current version.
func (o *Origin) Version() int64 { return o.version.Load() }

// Bump starts the next version and returns it.
func (o *Origin) Bump() int64 { return o.version.Add(1) }

// Delay delays every response by the given time.
func (o *Origin) Delay(d time.Duration) { o.delay.Store(int64(d)) }

// Hold makes every call pass through f after its version is fixed and before it is answered; nil
// removes f.
func (o *Origin) Hold(f func(Call)) {
	if f == nil {
		o.hold.Store(nil)
		return
	}
	o.hold.Store(&f)
}

// RefuseWrites says whether unsafe requests get 503. Calls leaves refused requests out.
func (o *Origin) RefuseWrites(yes bool) { o.refuse.Store(yes) }

// Calls returns the calls for a path, in order; "" means all paths.
func (o *Origin) Calls(path string) (calls []Call) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range o.calls {
		if path == "" || c.Path == path {
			calls = append(calls, c)
		}
	}
	return calls
}

// ServeHTTP answers a request. The tags of a response derive from the last element of its path: for
// /x/7, part:7 and team:7. Responses below /vary/ vary on the language, below /private/ they are
// private, below /short/ they are fresh for one second. A write below /echo/ is answered with the
// response to a GET. Below /size/ and /random/ the last element is the number of bytes, of text or
// of incompressible noise.
func (o *Origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	safe := r.Method == http.MethodGet || r.Method == http.MethodHead
	if !safe && o.refuse.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	version := o.Version()
	call := Call{r.Method, r.Host, r.URL.RequestURI(), r.Header.Get(hidden), r.Header.Get("Idempotency-Key")}
	o.mu.Lock()
	o.calls = append(o.calls, call)
	o.mu.Unlock()
	time.Sleep(time.Duration(o.delay.Load()))
	if f := o.hold.Load(); f != nil {
		(*f)(call)
	}
	if !safe {
		if kind(r.URL.Path) != "echo" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Content-Location", r.URL.RequestURI())
	}
	part := path.Base(r.URL.Path)
	h := w.Header()
	h.Set("Cache-Control", "max-age=3600")
	h.Set("Content-Type", "text/plain")
	h.Set("X-Version", strconv.FormatInt(version, 10))
	h.Set("Surrogate-Key", "part:"+part+" team:"+part+" kind:"+kind(r.URL.Path))
	switch kind(r.URL.Path) {
	case "private":
		h.Set("Cache-Control", "private")
	case "short":
		h.Set("Cache-Control", "max-age=1")
	}
	if kind(r.URL.Path) == "vary" {
		h.Set("Vary", "Accept-Language")
	}
	body := Body(r.Host, r.URL.RequestURI(), r.Header.Get("Accept-Language"), version)
	if n, err := strconv.Atoi(part); err == nil && (kind(r.URL.Path) == "size" || kind(r.URL.Path) == "random") {
		body += filling(kind(r.URL.Path), n-len(body))
	}
	_, _ = w.Write([]byte(body)) // ignore the error of a gateway that is gone
}

// filling returns n bytes.
func filling(kind string, n int) string {
	if n <= 0 {
		return ""
	}
	if kind == "random" {
		noise := make([]byte, n)
		_, _ = rand.NewChaCha8([32]byte{}).Read(noise) // never fails
		return string(noise)
	}
	var text strings.Builder
	for numbers := rand.New(rand.NewPCG(1, 2)); text.Len() < n; {
		fmt.Fprintf(&text, `{"id":%d,"name":"user %d","active":true,"balance":%.2f},`+"\n", numbers.IntN(1e6), numbers.IntN(1e4), numbers.Float64()*1000)
	}
	return text.String()[:n]
}

// kind returns the first element of a path.
func kind(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return first
}

// Body returns the beginning of the response to a request.
func Body(host, uri, language string, version int64) string {
	return fmt.Sprintf("%s %s [%s] version %d\n", host, uri, language, version)
}
