package snapshot_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy"
	"github.com/penstock/penstock/proxy/explain"
	"github.com/penstock/penstock/proxy/observe"
)

// secretOrigin is an origin that keeps the requests that it gets.
type secretOrigin struct {
	mu       sync.Mutex
	requests []*http.Request
	control  string // the Cache-Control of its responses
}

func (o *secretOrigin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	o.requests = append(o.requests, r)
	n, control := len(o.requests), o.control
	o.mu.Unlock()
	w.Header().Set("Cache-Control", control)
	_, _ = fmt.Fprintf(w, "content %d", n)
}

func (o *secretOrigin) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.requests)
}

// lockedGateway runs one cached route for all paths before an origin, with further keys.
func lockedGateway(t *testing.T, sink observe.Sink, control, keys string) (*proxy.Gateway, *secretOrigin) {
	t.Helper()
	o := &secretOrigin{control: control}
	origin := httptest.NewServer(o)
	t.Cleanup(origin.Close)
	return runGateway(t, sink, "version: 1\nupstreams: {o: {targets: [\""+origin.URL+"\"]}}\n"+
		"routes: [{name: all, match: {path: \"/*\"}, upstream: o, "+keys+"}]\n"), o
}

// asked is a request with fields, and the response to it.
func asked(t testing.TB, client *http.Client, method, url string, fields ...string) (status int, body string, h http.Header) {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header[fields[i]] = append(r.Header[fields[i]], fields[i+1])
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text), resp.Header
}

const (
	publicHour = "public, max-age=3600"
	twoKeys    = `auth: {api_keys: {header: X-API-Key, query: api_key, keys: [{name: shop, key: s3cret-shop}, {name: app, sha256: "7bd70ffb9bfe0ded3b2bf7ea1bcb5c8a2ff1b4b7e0dee8f4c5a4b6b6d13b1ed0"}]}}`
)

// TestUnknownKeyGetsNoHit: on every protocol a connection answers a client that has a key with a
// stored response, and no other client gets one.
func TestUnknownKeyGetsNoHit(t *testing.T) {
	refused := []struct {
		fields []string
		query  string
		reason string
	}{
		{nil, "", "no_credential"},
		{[]string{"X-Api-Key", ""}, "", "unknown_key"},
		{[]string{"X-Api-Key", "s3cret"}, "", "unknown_key"},
		{[]string{"X-Api-Key", "S3cret-shop"}, "", "unknown_key"},
		{[]string{"X-Api-Key", "s3cret-shop", "X-Api-Key", "s3cret-shop"}, "", "several_credentials"},
		{[]string{"X-Api-Key", "s3cret-shop, s3cret-shop"}, "", "unknown_key"},
		{[]string{"X-Api-Key", strings.Repeat("a", 4000)}, "", "unknown_key"},
		{[]string{"X_api_key", "s3cret-shop"}, "", "no_credential"},
		{[]string{"Authorization", "Bearer s3cret-shop"}, "", "no_credential"},
		{[]string{"Cookie", "X-Api-Key=s3cret-shop"}, "", "no_credential"},
		{[]string{"X-Api-Key", "s3cret-shop"}, "&api_key=s3cret-shop", "several_credentials"},
		{nil, "&api_key=wrong", "unknown_key"},
		{nil, "&api_key=s3cret-shop&api_key=s3cret-shop", "several_credentials"},
		{nil, "&API_KEY=s3cret-shop", "no_credential"},
	}
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			hits := new(wireHits)
			g, origin := lockedGateway(t, hits, publicHour, "cache: {enabled: true}, "+twoKeys)
			client, url := serveWired(t, g, protocol)
			get := func(method, query string, fields ...string) (int, string, http.Header) {
				hits.pending.Add(1)
				return asked(t, client, method, url+"/a?n=1"+query, fields...)
			}
			for range 20 {
				if status, body, _ := get("GET", "", "X-Api-Key", "s3cret-shop"); status != 200 || body != "content 1" {
					t.Fatalf("a client with a key got %d %q", status, body)
				}
			}
			hits.pending.Wait()
			warm := hits.wire.Load()
			if warm == 0 {
				t.Fatal("connections answered no hit of a client with a key")
			}
			want := make(map[string]float64)
			for _, method := range []string{"GET", "HEAD", "POST"} {
				for _, c := range refused {
					for range 2 {
						want[c.reason]++
						status, body, h := get(method, c.query, c.fields...)
						if status != http.StatusUnauthorized || strings.Contains(body, "content") {
							t.Errorf("%s with %.60q%s: %d %q", method, c.fields, c.query, status, body)
						}
						if challenge := h.Values("Www-Authenticate"); !slices.Equal(challenge, []string{`ApiKey header="X-Api-Key", query="api_key"`}) {
							t.Errorf("%s with %.60q%s: the challenge is %q", method, c.fields, c.query, challenge)
						}
					}
				}
			}
			if hits.pending.Wait(); hits.wire.Load() != warm {
				t.Errorf("connections answered %d hits of clients without a key", hits.wire.Load()-warm)
			}
			// A key in the query finds the same response, by the handler.
			for range 5 {
				if status, body, h := get("GET", "&api%5fkey=s3cret-shop"); status != 200 || body != "content 1" || !strings.Contains(h.Get("Cache-Status"), "; hit") {
					t.Errorf("a key in the query got %d %q, %s", status, body, h.Get("Cache-Status"))
				}
			}
			get("GET", "", "X-Api-Key", "s3cret-shop")
			if hits.pending.Wait(); hits.wire.Load() != warm+1 {
				t.Errorf("the connection answered %d more hits, not 1", hits.wire.Load()-warm)
			}
			if n := origin.count(); n != 1 {
				t.Errorf("the origin got %d requests", n)
			}
			for _, r := range origin.requests {
				if r.Header.Get("X-Api-Key") != "" || strings.Contains(fmt.Sprint(r.URL, r.Header), "s3cret") {
					t.Errorf("the origin got the key: %v %v", r.URL, r.Header)
				}
			}
			checkReasons(t, g, "auth", want)
		})
	}
}

// checkReasons compares the metric of a stage's refusals with the number by reason.
func checkReasons(t *testing.T, g *proxy.Gateway, stage string, want map[string]float64) {
	t.Helper()
	got := make(map[string]float64)
	for _, family := range g.Metrics() {
		if family.Name != "penstock_refusals_total" {
			continue
		}
		for _, p := range family.Points {
			for reason := range want {
				if labels := fmt.Sprint(p.Labels); strings.Contains(labels, stage) && strings.Contains(labels, reason) {
					got[reason] += p.Value
				}
			}
		}
	}
	for reason, n := range want {
		if got[reason] != n {
			t.Errorf("%v refusals are counted as %s, not %v", got[reason], reason, n)
		}
	}
}

// keyedRequest is a request with a key, in a field, in the query, or in Authorization, where no key
// belongs.
type keyedRequest struct {
	key, path, method string
	place             int
}

// TestNoClientWithoutTheRightGetsABody compares the answers to random requests, under random rules
// for the cache, with the rule of package auth: a response goes only to clients with a key, and from
// one to another only if RFC 9111 section 3.5 allows it for requests with Authorization.
func TestNoClientWithoutTheRightGetsABody(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		mode := rapid.SampledFrom([]string{"rfc", "never", "key"}).Draw(rt, "authorization")
		control := rapid.SampledFrom([]string{"", "max-age=3600", publicHour, "s-maxage=3600", "max-age=3600, must-revalidate", "private, max-age=3600"}).Draw(rt, "control")
		forward := rapid.Bool().Draw(rt, "forward")
		protocol := rapid.SampledFrom(protocols).Draw(rt, "protocol")
		steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) keyedRequest {
			return keyedRequest{
				key: rapid.SampledFrom([]string{"", "one", "two", "three"}).Draw(t, "key"), path: rapid.SampledFrom([]string{"/a", "/b?x=1"}).Draw(t, "path"),
				place: rapid.IntRange(0, 2).Draw(t, "place"), method: rapid.SampledFrom([]string{"GET", "GET", "HEAD"}).Draw(t, "method"),
			}
		}), 2, 16).Draw(rt, "steps")
		wrong := ""
		t.Run("", func(t *testing.T) {
			g, origin := lockedGateway(t, nil, control, fmt.Sprintf("cache: {enabled: true, authorization: %s, ttl: {default: 1h}}, "+
				`auth: {api_keys: {header: X-Shop, query: k, keys: [{name: a, key: one}, {name: b, key: two}]}, forward_credentials: %v}`, mode, forward))
			client, url := serveWired(t, g, protocol)
			owner := make(map[string]string) // of each body, the key of the client for which the origin made it
			for _, step := range steps {
				key, path := step.key, step.path
				var fields []string
				switch step.place {
				case 0:
					fields = []string{"X-Shop", key}
				case 1:
					path += map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")] + "k=" + key
				case 2:
					fields, key = []string{"Authorization", "Bearer x" + key}, ""
				}
				before := origin.count()
				status, body, _ := asked(t, client, step.method, url+path, fields...)
				right := key == "one" || key == "two"
				switch made := origin.count() > before; {
				case !right && (status != http.StatusUnauthorized || strings.Contains(body, "content") || made):
					wrong = fmt.Sprintf("%s, %q: %q at %s got %d %q", mode, control, key, path, status, body)
				case right && status != http.StatusOK:
					wrong = fmt.Sprintf("%s, %q: %q at %s got %d %q", mode, control, key, path, status, body)
				case !right || body == "":
				case made:
					owner[body] = key
				case mode == "never" || control == "private, max-age=3600" || mode == "rfc" && (control == "" || control == "max-age=3600"):
					wrong = fmt.Sprintf("%s, %q: %q at %s got the stored %q", mode, control, key, path, body)
				case mode == "key" && owner[body] != "" && owner[body] != key:
					wrong = fmt.Sprintf("%s, %q: %q at %s got %q, made for %q", mode, control, key, path, body, owner[body])
				}
				if wrong != "" {
					return
				}
			}
		})
		if wrong != "" {
			rt.Fatal(wrong)
		}
	})
}

// TestPublicResponseIsSharedAmongKeys: authorised clients share a public response, and with
// `authorization: key` each has its own.
func TestPublicResponseIsSharedAmongKeys(t *testing.T) {
	for mode, want := range map[string]int{"rfc": 1, "key": 2, "never": 4} {
		g, origin := lockedGateway(t, nil, publicHour, "cache: {enabled: true, authorization: "+mode+"}, auth: {api_keys: {keys: [{name: a, key: one}, {name: b, key: two}]}}")
		client, url := serveWired(t, g, "HTTP/1.1")
		for range 2 {
			asked(t, client, "GET", url+"/a", "X-Api-Key", "one")
			asked(t, client, "GET", url+"/a", "X-Api-Key", "two")
		}
		if n := origin.count(); n != want {
			t.Errorf("%s: the origin got %d requests, not %d", mode, n, want)
		}
	}
}

// TestForwardedKey: the origin gets the field only if the route forwards it, and no alias of it.
func TestForwardedKey(t *testing.T) {
	for _, forward := range []bool{true, false} {
		g, origin := lockedGateway(t, nil, "no-store", fmt.Sprintf("auth: {api_keys: {keys: [{name: a, key: one}]}, forward_credentials: %v}", forward))
		client, url := serveWired(t, g, "HTTP/1.1")
		asked(t, client, "GET", url+"/a", "X-Api-Key", "one", "X_api_key", "two")
		want := map[bool]string{true: "one", false: ""}[forward]
		if h := origin.requests[0].Header; h.Get("X-Api-Key") != want || h["X_api_key"] != nil {
			t.Errorf("forward_credentials %v: the origin got %v", forward, h)
		}
	}
}

// TestChangedFileOfKeys: a removed key gets no further hit on connections, and a broken file changes
// nothing.
func TestChangedFileOfKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.txt")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a one # the first\n")
	g, _ := lockedGateway(t, nil, publicHour, "cache: {enabled: true}, auth: {api_keys: {file: "+path+"}}")
	client, url := serveWired(t, g, "HTTP/1.1")
	await := func(key string, want int) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			status, _, _ := asked(t, client, "GET", url+"/a", "X-Api-Key", key)
			if status == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s: %d, not %d", key, status, want)
			}
		}
	}
	for range 10 {
		await("one", http.StatusOK)
	}
	await("two", http.StatusUnauthorized)
	write("b two\n")
	await("one", http.StatusUnauthorized)
	await("two", http.StatusOK)
	write("two\n")
	cfg, err := config.Parse("t.yaml", []byte("version: 1\nupstreams: {o: {targets: [\"http://127.0.0.1:1\"]}}\nroutes: [{name: other, match: {path: /b}, upstream: o, auth: {api_keys: {file: "+path+"}}}]\n"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = proxy.New(cfg, proxy.Options{Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "route other: auth.api_keys.file: "+path+": line 1: ") || strings.Contains(err.Error(), "two") {
		t.Errorf("a gateway with a broken file starts, or tells the key: %v", err)
	}
	await("two", http.StatusOK)
}

// TestExplainNamesTheOwnerOfAKey: an explanation says by which key a request is let in, or why not. It
// shows no key and counts nothing.
func TestExplainNamesTheOwnerOfAKey(t *testing.T) {
	g, origin := lockedGateway(t, nil, publicHour, "cache: {enabled: true}, "+twoKeys)
	for _, c := range []struct {
		url, field  string
		letIn, says string
	}{
		{"/a", "X-API-Key: s3cret-shop", "auth: api_keys (shop) lets the request in", ""},
		{"/a?x=1&api_key=s3cret-shop", "", "auth: api_keys (shop) lets the request in", ""},
		{"/a?api_key=s3cret-oops", "", "", "unknown_key for api_keys; the route takes api_keys in the field X-Api-Key or the query parameter api_key"},
		{"/a", "", "", "no_credential for api_keys"},
	} {
		ask := explain.Question{URL: "http://example.com" + c.url}
		if c.field != "" {
			ask.Header = []string{c.field}
		}
		e, err := g.Explain(t.Context(), ask)
		if err != nil {
			t.Fatal(err)
		}
		if letIn := strings.Join(e.Notes, "; "); letIn != c.letIn || (e.Refused == nil) != (c.says == "") || e.Refused != nil && !strings.HasPrefix(e.Refused.Why, c.says) {
			t.Errorf("%s %s: %q, refused: %+v", c.url, c.field, letIn, e.Refused)
		}
		if text := written(t, e); strings.Contains(text, "s3cret") {
			t.Errorf("%s %s: the explanation shows the key: %s", c.url, c.field, text)
		}
	}
	if origin.count() != 0 {
		t.Error("an explanation asked the origin")
	}
}

// written is an explanation as operators get it.
func written(t *testing.T, e *explain.Explanation) string {
	t.Helper()
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestRateLimitByKey: a rate limit by the field of the keys counts each key for itself, though the
// origin does not get the field.
func TestRateLimitByKey(t *testing.T) {
	g, _ := lockedGateway(t, nil, "no-store", `auth: {api_keys: {keys: [{name: a, key: one}, {name: b, key: two}]}}, rate_limit: {rate: 1/h, burst: 1, by: "header:x-api-key"}`)
	client, url := serveWired(t, g, "HTTP/1.1")
	for _, c := range []struct {
		key  string
		want int
	}{{"one", 200}, {"two", 200}, {"one", 429}, {"two", 429}, {"three", 401}} {
		if status, _, _ := asked(t, client, "GET", url+"/a", "X-Api-Key", c.key); status != c.want {
			t.Errorf("%s: %d, not %d", c.key, status, c.want)
		}
	}
}

// provider is an identity provider with one key, on loopback.
type provider struct {
	url string
	key ed25519.PrivateKey
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":%q}]}`, base64.RawURLEncoding.EncodeToString(public))
	}))
	t.Cleanup(s.Close)
	return &provider{s.URL, key}
}

// token returns a token with the given claims beside issuer and audience.
func (p *provider) token(expires time.Duration, claims string) string {
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA","kid":"k"}`)) + "." +
		base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"iss":"idp","aud":"api","exp":%d,"sub":"alice"%s}`, time.Now().Add(expires).Unix(), claims))
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(p.key, []byte(text)))
}

func (p *provider) keys(more string) string {
	return fmt.Sprintf("jwt: {jwks: %q, issuer: idp, audience: api, scopes: [read]%s}", p.url, more)
}

// TestTokenBehindACache: on every protocol only clients with a valid token get a stored response, and
// the origin gets no token.
func TestTokenBehindACache(t *testing.T) {
	p := newProvider(t)
	good, other := p.token(time.Hour, `,"scope":"read"`), p.token(2*time.Hour, `,"scope":"read write"`)
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			g, origin := lockedGateway(t, nil, publicHour, "cache: {enabled: true}, auth: {"+p.keys("")+"}")
			client, url := serveWired(t, g, protocol)
			for _, token := range []string{good, good, other, good} {
				if status, body, _ := asked(t, client, "GET", url+"/a", "Authorization", "Bearer "+token); status != 200 || body != "content 1" {
					t.Fatalf("a client with a token got %d %q", status, body)
				}
			}
			want := map[string]float64{}
			for _, c := range []struct {
				authorization, reason string
				status                int
				challenge             string
			}{
				{"", "no_credential", 401, `Bearer realm="all"`},
				{"Basic YTpi", "no_credential", 401, `Bearer realm="all"`},
				{"Bearer " + good[:len(good)-5] + "AAAAA", "bad_signature", 401, `Bearer realm="all", error="invalid_token", error_description="the signature of the token is not valid"`},
				{"Bearer " + p.token(-time.Hour, `,"scope":"read"`), "expired", 401, `Bearer realm="all", error="invalid_token", error_description="the token has expired"`},
				{"Bearer " + p.token(time.Hour, ""), "missing_scope", 403, `Bearer realm="all", error="insufficient_scope", error_description="the token lacks a scope", scope="read"`},
			} {
				for _, method := range []string{"GET", "HEAD"} {
					var fields []string
					if c.authorization != "" {
						fields = []string{"Authorization", c.authorization}
					}
					want[c.reason]++
					status, body, h := asked(t, client, method, url+"/a", fields...)
					if status != c.status || strings.Contains(body, "content") || !slices.Equal(h["Www-Authenticate"], []string{c.challenge}) {
						t.Errorf("%s %s: %d %q %q", method, c.reason, status, body, h["Www-Authenticate"])
					}
				}
			}
			if origin.count() != 1 || origin.requests[0].Header["Authorization"] != nil {
				t.Errorf("the origin got %d requests: %v", origin.count(), origin.requests[0].Header)
			}
			checkReasons(t, g, "auth", want)
		})
	}
}

// TestTokensShareOnlyPublicResponses: with `authorization: rfc` a response that does not say public is
// for one client, and with `key` each token has its own.
func TestTokensShareOnlyPublicResponses(t *testing.T) {
	p := newProvider(t)
	good, other := p.token(time.Hour, `,"scope":"read"`), p.token(2*time.Hour, `,"scope":"read"`)
	for _, c := range []struct {
		mode, control string
		want          int
	}{{"rfc", publicHour, 1}, {"rfc", "max-age=3600", 4}, {"key", "max-age=3600", 2}, {"never", publicHour, 4}} {
		g, origin := lockedGateway(t, nil, c.control, "cache: {enabled: true, authorization: "+c.mode+"}, auth: {"+p.keys("")+"}")
		client, url := serveWired(t, g, "HTTP/1.1")
		for range 2 {
			asked(t, client, "GET", url+"/a", "Authorization", "Bearer "+good)
			asked(t, client, "GET", url+"/a", "Authorization", "Bearer "+other)
		}
		if n := origin.count(); n != c.want {
			t.Errorf("%s, %s: the origin got %d requests, not %d", c.mode, c.control, n, c.want)
		}
	}
}

// TestSeveralMethods: one method is enough, or all of them are needed.
func TestSeveralMethods(t *testing.T) {
	p := newProvider(t)
	token, key := "Bearer "+p.token(time.Hour, `,"scope":"read"`), "one"
	for _, all := range []bool{false, true} {
		g, origin := lockedGateway(t, nil, publicHour, fmt.Sprintf("cache: {enabled: true}, auth: {api_keys: {keys: [{name: a, key: one}]}, %s, all: %v}", p.keys(""), all))
		client, url := serveWired(t, g, "HTTP/1.1")
		for _, c := range []struct {
			fields     []string
			any, both  int
			challenges int // with all
		}{
			{nil, 401, 401, 2},
			{[]string{"Authorization", token, "X-Api-Key", key}, 200, 200, 0},
			{[]string{"Authorization", token}, 200, 401, 1},
			{[]string{"X-Api-Key", key}, 200, 401, 1},
			{[]string{"Authorization", token, "X-Api-Key", "two"}, 200, 401, 1},
			{[]string{"Authorization", "Bearer x", "X-Api-Key", key}, 200, 401, 1},
			{[]string{"Authorization", "Bearer x", "X-Api-Key", "two"}, 401, 401, 2},
		} {
			want := c.any
			if all {
				want = c.both
			}
			for range 3 {
				status, body, h := asked(t, client, "GET", url+"/a", c.fields...)
				if status != want || strings.Contains(body, "content") != (want == 200) || all && len(h["Www-Authenticate"]) != c.challenges {
					t.Errorf("all: %v, %.60q: %d %q %q, not %d", all, c.fields, status, body, h["Www-Authenticate"], want)
				}
			}
		}
		for _, r := range origin.requests {
			if r.Header["Authorization"] != nil || r.Header["X-Api-Key"] != nil {
				t.Errorf("the origin got %v", r.Header)
			}
		}
	}
}

// TestProviderIsDown: without any key, tokens are refused with 503, and other requests with 401.
func TestProviderIsDown(t *testing.T) {
	p := newProvider(t)
	token := "Bearer " + p.token(time.Hour, `,"scope":"read"`)
	p.url = "http://127.0.0.1:1/"
	g, _ := lockedGateway(t, nil, publicHour, "cache: {enabled: true}, auth: {"+p.keys("")+"}")
	client, url := serveWired(t, g, "HTTP/1.1")
	if status, _, h := asked(t, client, "GET", url+"/a", "Authorization", token); status != 503 || h.Get("Retry-After") != "10" || h["Www-Authenticate"] != nil {
		t.Errorf("%d %v", status, h)
	}
	if status, _, _ := asked(t, client, "GET", url+"/a"); status != 401 {
		t.Errorf("without a token: %d", status)
	}
}
