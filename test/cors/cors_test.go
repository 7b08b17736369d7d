package cors

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/test/browsertest"
	"github.com/penstock/penstock/test/load/program"
)

const gatewayYAML = `
version: 1
server: {listen: [{address: "127.0.0.1:0"}], timeouts: {drain: 1s}}
admin: {address: "127.0.0.1:0"}
upstreams: {web: {targets: [%[1]q]}}
routes:
  - name: static
    match: {path: /static/*, methods: [GET, HEAD]}
    upstream: web
    cache: {enabled: true}
    cors: {origins: [%[2]q], headers: [X-Requested-With]}
  - name: open
    match: {path: /open/*}
    upstream: web
    cache: {enabled: true}
    cors: {origins: ["*"]}
  - name: api
    match: {path: /api/*, methods: [GET, PUT, DELETE]}
    upstream: web
    cors: {origins: [%[2]q], methods: [GET, PUT], headers: [Content-Type], expose: [X-Total], credentials: true, max_age: 10m}
  - {name: plain, match: {path: /plain/*}, upstream: web}
`

// asked is the list of requests that the origin server got.
type asked struct {
	mu   sync.Mutex
	list []string
}

// ServeHTTP tells the cookies that it got. It takes no part in the CORS protocol.
func (a *asked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.list = append(a.list, r.Method+" "+r.URL.Path)
	a.mu.Unlock()
	w.Header().Set("Cache-Control", "no-store")
	if r.Method == http.MethodGet && r.Header.Get("Cookie") == "" {
		w.Header().Set("Cache-Control", "max-age=3600")
	}
	w.Header().Set("X-Total", "7")
	w.Header().Set("X-Hidden", "8")
	body, _ := io.ReadAll(r.Body) // a client that goes is no matter here
	fmt.Fprintf(w, "%s %s with cookie %q: %s", r.Method, r.URL.Path, r.Header.Get("Cookie"), body)
}

func (a *asked) count(request string) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.list {
		if r == request {
			n++
		}
	}
	return n
}

// page serves an empty page of its own origin.
func page(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!doctype html><title>page</title>")
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestBrowser runs cors.mjs, which says what pages can do.
func TestBrowser(t *testing.T) {
	dir := browsertest.Tools(t)
	binary, err := program.Build(t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	a := new(asked)
	origin := httptest.NewServer(a)
	t.Cleanup(origin.Close)
	app, evil := page(t), page(t)
	p := binary.Start(t, fmt.Sprintf(gatewayYAML, origin.URL, app))
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	script := exec.CommandContext(ctx, "node", "cors.mjs")
	script.Env = append(os.Environ(), "TOOLS="+dir, "GATEWAY=http://"+p.Public(), "APP="+app, "EVIL="+evil, "PROFILE="+t.TempDir())
	out, err := script.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("\n%s", out)
	a.mu.Lock()
	preflights := slices.Collect(func(yield func(string) bool) {
		for _, r := range a.list {
			if len(r) > 8 && r[:8] == "OPTIONS " && r != "OPTIONS /plain/a" && !yield(r) {
				return
			}
		}
	})
	a.mu.Unlock()
	if len(preflights) > 0 {
		t.Errorf("preflights reached the origin server: %q", preflights)
	}
	for request, want := range map[string]int{"PUT /api/app": 1, "PUT /api/evil": 0, "DELETE /api/app": 0, "GET /static/a": 1, "OPTIONS /plain/a": 1, "PUT /plain/a": 0} {
		if n := a.count(request); n != want {
			t.Errorf("%s reached the origin server %d times, not %d", request, n, want)
		}
	}
}
