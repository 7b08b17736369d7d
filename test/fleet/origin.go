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

// hidden is the field by which an instance tells the origin who asks.
const hidden = "X-Instance"

// Call is a request that has come to the origin.
type Call struct {
	Method, Host, Path string
	Instance           string // that made it
}

// Origin answers every request with its path and the version that holds when the request comes. What it sends outlives a test.
type Origin struct {
	*httptest.Server
	version atomic.Int64
	delay   atomic.Int64
	hold    atomic.Pointer[func(Call)]
	mu      sync.Mutex
	calls   []Call
}

// NewOrigin starts an origin at version 1. It ends with the test.
func NewOrigin(tb testing.TB) *Origin {
	o := &Origin{}
	o.version.Store(1)
	o.Server = httptest.NewServer(o)
	tb.Cleanup(o.Close)
	return o
}

// Version is the version with which requests are answered that come now.
func (o *Origin) Version() int64 { return o.version.Load() }

// Bump begins the next version and returns it.
func (o *Origin) Bump() int64 { return o.version.Add(1) }

// Delay makes every answer take that long.
func (o *Origin) Delay(d time.Duration) { o.delay.Store(int64(d)) }

// Hold has every call go through f, after its version is settled and before it is answered; nil: none.
func (o *Origin) Hold(f func(Call)) {
	if f == nil {
		o.hold.Store(nil)
		return
	}
	o.hold.Store(&f)
}

// Calls are the calls for a path, in their order; "": all.
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

// ServeHTTP answers. The tags of a response are of its path's last part, /x/7: part:7 team:7. What is below /vary/ varies on the language,
// what is below /private/ is for nobody else, what is below /short/ is fresh for one second, and a write below /echo/ is answered
// with what a GET would bring.
// Below /size/ and /random/ the last part is the number of bytes: of text, or of noise that can't be compressed.
func (o *Origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	version := o.Version()
	call := Call{r.Method, r.Host, r.URL.RequestURI(), r.Header.Get(hidden)}
	o.mu.Lock()
	o.calls = append(o.calls, call)
	o.mu.Unlock()
	time.Sleep(time.Duration(o.delay.Load()))
	if f := o.hold.Load(); f != nil {
		(*f)(call)
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
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
	_, _ = w.Write([]byte(body)) // whether the gateway is still there is not the origin's concern
}

// filling is n bytes.
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

// kind is the first part of a path.
func kind(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return first
}

// Body is how the response to a request begins.
func Body(host, uri, language string, version int64) string {
	return fmt.Sprintf("%s %s [%s] version %d\n", host, uri, language, version)
}
