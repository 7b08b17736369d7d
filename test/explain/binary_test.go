package explain

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock/penstock/proxy/explain"
)

const binaryYAML = `version: 1
server: {listen: [{address: "127.0.0.1:0"}]}
admin: {address: "127.0.0.1:0", token: secret}
cache: {memory: {size: 8MiB}}
upstreams: {origin: {targets: [%q]}}
routes:
  - name: api
    match: {path: "/api/{id}", methods: [GET, HEAD]}
    upstream: origin
    cache: {enabled: true, ttl: {default: 1m}, key: {query: {exclude: [utm_*], sort: true}}, tags: {from: ["user:{id}"]}}
    compress: {encodings: [br, gzip], min_size: 16}
  - name: rest
    match: {path: "/*"}
    upstream: origin
`

// TestExplainLive asks the built gateway about a request, sends it, and asks again: each time what the command says is what is then done.
func TestExplainLive(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		if r.URL.Path == "/api/private" {
			w.Header().Set("Cache-Control", "private")
		}
		io.WriteString(w, strings.Repeat("content ", 50))
	}))
	defer origin.Close()
	p := gatewayBinary.Start(t, fmt.Sprintf(binaryYAML, origin.URL))
	base, admin := "http://"+p.Public(), "http://"+p.Admin()
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	defer client.CloseIdleConnections()
	send := func(method, path string, fields ...string) string {
		req, err := http.NewRequest(method, base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(fields); i += 2 {
			req.Header.Set(fields[i], fields[i+1])
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		io.Copy(io.Discard, resp.Body)
		return resp.Header.Get("Cache-Status")
	}
	for _, c := range []struct {
		method, path string
		fields       []string
		hit          bool
	}{
		{"GET", "/api/1?b=2&utm_source=x&a=1", nil, false},
		{"GET", "/api/1?a=1&b=2", nil, true},
		{"HEAD", "/api/1?a=1&b=2", nil, true},
		{"GET", "/api/1?a=1&b=2", []string{"Cache-Control", "no-store"}, false},
		{"GET", "/api/1?a=1&b=2", []string{"Cache-Control", "only-if-cached"}, true},
		{"GET", "/api/1?a=2", []string{"Cache-Control", "only-if-cached"}, false},
		{"GET", "/api/2", []string{"Authorization", "Bearer x"}, false},
		{"GET", "/api/private", nil, false},
		{"GET", "/api/private", nil, false},
		{"GET", "/other", nil, false},
		{"POST", "/other", nil, false},
	} {
		how := []string{"--fetch"}
		if c.method == "POST" { // which is not sent twice
			how = []string{"--status", "200"}
		}
		args := append(how, "--live", "--json", "--admin", admin, "--token", "secret", c.method, base+c.path)
		for i := 0; i < len(c.fields); i += 2 {
			args = append(args, "-H", c.fields[i]+": "+c.fields[i+1])
		}
		said := explained(t, args...)
		done := send(c.method, c.path, c.fields...)
		if said.Answer.Hit != c.hit || said.Answer.CacheStatus != done {
			t.Errorf("%s %s %v: said %q, done %q, want a hit %v", c.method, c.path, c.fields, said.Answer.CacheStatus, done, c.hit)
		}
	}
	said := explained(t, "--live", "--json", "--admin", admin, "--token", "secret", base+"/api/1?b=2&a=1")
	if s := said.Stored; s == nil || s.Tier != "memory" || s.Lifetime != 60 || len(s.Tags) != 1 || s.Tags[0] != "user:1" {
		t.Errorf("stored: %+v", said.Stored)
	}
}

// explain runs the command.
func explained(t *testing.T, args ...string) *explain.Explanation {
	t.Helper()
	cmd := exec.Command(gatewayBinary.Path(), append([]string{"explain"}, args...)...)
	cmd.Dir = filepath.Join(t.TempDir())
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("penstock explain %q: %v\n%s", args, err, out)
	}
	e := new(explain.Explanation)
	if err := json.Unmarshal(out, e); err != nil {
		t.Fatal(err)
	}
	return e
}
