package field

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/test/gatewaytest"
)

// admin asks the admin API of g, which has the token.
func admin(t *testing.T, g *gatewaytest.Gateway, token, method, path, authorization string) (int, string) {
	t.Helper()
	r := httptest.NewRequest(method, "http://localhost"+path, strings.NewReader("{}"))
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	w := httptest.NewRecorder()
	g.Admin(token, func(context.Context) error { return nil }).ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// adminPost posts JSON to the admin API of g, which asks for no token.
func adminPost(t testing.TB, g *gatewaytest.Gateway, path, json string) (int, string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "http://localhost"+path, strings.NewReader(json))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	g.Admin("", func(context.Context) error { return nil }).ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// TestAdminSaysNothingWithoutTheToken asks for everything that the admin listener has. Without the token it says its state, and no address, version or figure.
func TestAdminSaysNothingWithoutTheToken(t *testing.T) {
	origin := gatewaytest.NewOrigin(t, gatewaytest.Text("content"))
	g := gatewaytest.Route(t, origin.URL, "")
	g.SetReady(true)
	for _, tt := range []struct{ method, path, want string }{ // want: the members of the answer; "": it is 401
		{"GET", "/healthz", "status"},
		{"GET", "/readyz", "status"},
		{"GET", "/readyz?upstream=origin", "status"},
		{"GET", "/readyz?upstream=nothing", "status"},
		{"GET", "/metrics", ""},
		{"GET", "/advice", ""},
		{"GET", "/api/stats", ""},
		{"GET", "/api/cost", ""},
		{"GET", "/api/nothing", ""},
		{"GET", "/writes", ""},
		{"GET", "/writes/1", ""},
		{"POST", "/writes/replay", ""},
		{"POST", "/writes/drop", ""},
		{"POST", "/reload", ""},
		{"POST", "/purge", ""},
		{"POST", "/explain", ""},
	} {
		status, body := admin(t, g, "secret", tt.method, tt.path, "")
		if tt.want == "" {
			if status != http.StatusUnauthorized {
				t.Errorf("%s %s: %d %s", tt.method, tt.path, status, body)
			}
			continue
		}
		var answer map[string]any
		if err := json.Unmarshal([]byte(body), &answer); err != nil || len(answer) != 1 || answer[tt.want] == nil {
			t.Errorf("%s %s: %s", tt.method, tt.path, body)
		}
	}
}

// TestReadyzHidesRedis has a gateway whose Redis is away. Where it should be, and why it is not there, is for the operator.
func TestReadyzHidesRedis(t *testing.T) {
	away := unusedAddress(t)
	g := gatewaytest.Start(t, "cache: {redis: {url: 'redis://"+away+"/0'}}\nupstreams: {origin: {targets: ['http://127.0.0.1:1']}}\n"+
		"routes: [{name: all, match: {path: /*}, upstream: origin, cache: {enabled: true}}]\n")
	g.SetReady(true)
	if status, body := admin(t, g, "secret", "GET", "/readyz", ""); status != 200 || strings.Contains(body, "redis") || strings.Contains(body, away) {
		t.Errorf("without the token: %d %s", status, body)
	}
	if status, body := admin(t, g, "secret", "GET", "/readyz", "Bearer secret"); status != 200 || !strings.Contains(body, away) {
		t.Errorf("with the token: %d %s", status, body)
	}
	if _, body := admin(t, g, "", "GET", "/readyz", ""); !strings.Contains(body, away) {
		t.Errorf("without a token to ask for: %s", body)
	}
}

// TestBearerSchemeHasNoCase spells the scheme as clients do.
func TestBearerSchemeHasNoCase(t *testing.T) {
	origin := gatewaytest.NewOrigin(t, gatewaytest.Text("content"))
	g := gatewaytest.Route(t, origin.URL, "")
	for authorization, want := range map[string]int{
		"Bearer secret": 200, "bearer secret": 200, "BEARER secret": 200, "bEaReR  secret": 200, " Bearer secret ": 200,
		"": 401, "secret": 401, "Basic secret": 401, "Bearer": 401, "Bearer ": 401, "Bearer Secret": 401, "Bearersecret": 401, "Bearer secret x": 401,
	} {
		if status, body := admin(t, g, "secret", "GET", "/metrics", authorization); status != want {
			t.Errorf("%q: %d, want %d: %s", authorization, status, want, body)
		}
	}
}

// unusedAddress is one that nothing listens on.
func unusedAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestReadyzWaitsForTheUpstream asks for readiness before, while and after the application beside the gateway is there.
func TestReadyzWaitsForTheUpstream(t *testing.T) {
	first, second := unusedAddress(t), unusedAddress(t)
	g := gatewaytest.Start(t, "upstreams:\n  app: {targets: ['http://"+first+"', 'http://"+second+"']}\n  other: {targets: ['http://127.0.0.1:1']}\n"+
		"routes:\n  - {name: all, match: {path: /*}, upstream: app}\n  - {name: other, match: {path: /other}, upstream: other}\n")
	ask := func(path string, want int) {
		t.Helper()
		g.Clock.Advance(time.Minute)
		if status, body := admin(t, g, "secret", "GET", path, ""); status != want {
			t.Errorf("%s: %d, want %d: %s", path, status, want, body)
		}
	}
	ask("/readyz", 503)
	ask("/readyz?upstream=app", 503)
	g.SetReady(true)
	ask("/readyz", 200)
	ask("/readyz?upstream=app", 503)
	l, err := net.Listen("tcp", second) // one target is enough
	if err != nil {
		t.Fatal(err)
	}
	ask("/readyz?upstream=app", 200)
	ask("/readyz?upstream=app&upstream=app", 200)
	ask("/readyz?upstream=app&upstream=other", 503)
	ask("/readyz?upstream=", 503)
	ask("/readyz?upstream=ap", 503)
	ask("/readyz?upstream=app"+strings.Repeat("&upstream=app", 20), 503)
	l.Close()
	ask("/readyz?upstream=app", 503)
	ask("/healthz", 200)
	if _, body := admin(t, g, "secret", "GET", "/readyz?upstream=app", "Bearer secret"); !strings.Contains(body, "refused") {
		t.Errorf("with the token it does not say why: %s", body)
	}
}

// TestProbesDoNotFloodTheUpstream asks many times at one moment of the clock: the upstream sees one connection.
func TestProbesDoNotFloodTheUpstream(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan struct{}, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				close(accepted)
				return
			}
			_, _ = io.Copy(io.Discard, c)
			c.Close()
			accepted <- struct{}{}
		}
	}()
	g := gatewaytest.Start(t, "upstreams: {app: {targets: ['http://"+l.Addr().String()+"']}}\nroutes: [{name: all, match: {path: /*}, upstream: app}]\n")
	g.SetReady(true)
	for range 50 {
		if status, body := admin(t, g, "secret", "GET", "/readyz?upstream=app", ""); status != 200 {
			t.Fatalf("%d %s", status, body)
		}
	}
	<-accepted
	l.Close()
	n := 1
	for range accepted {
		n++
	}
	if n != 1 {
		t.Errorf("50 probes made %d connections", n)
	}
}
