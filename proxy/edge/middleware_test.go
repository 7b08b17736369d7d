package edge

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/proxy/observe"
)

// texts builds header rules without placeholders from names and values, in turn.
func texts(pairs ...string) map[string][]Piece {
	out := make(map[string][]Piece)
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = []Piece{{Text: pairs[i+1]}}
	}
	return out
}

// TestHeaderRulesFill fills in values, including some that no field may hold.
func TestHeaderRulesFill(t *testing.T) {
	for _, tt := range []struct {
		pieces []Piece
		want   []string
	}{
		{[]Piece{{Name: "host"}}, []string{"shop.test"}},
		{[]Piece{{Name: "scheme"}, {Text: "://"}, {Name: "host"}, {Name: "uri"}}, []string{"https://shop.test/a/b?c=d"}},
		{[]Piece{{Name: "path"}, {Text: " "}, {Name: "query"}}, []string{"/a/b c=d"}},
		{[]Piece{{Name: "method"}, {Text: " "}, {Name: "route"}}, []string{"GET all"}},
		{[]Piece{{Name: "client_ip"}}, []string{"192.0.2.1"}},
		{[]Piece{{Name: "request_id"}}, []string{"id"}},
		{[]Piece{{Name: "b"}}, []string{"b%0A"}},
		{[]Piece{{Name: "lines"}}, nil},
		{[]Piece{{Name: "long"}}, []string{strings.Repeat("x", maxValue)}},
		{[]Piece{{Name: "long"}, {Text: "x"}}, nil},
	} {
		rules, err := CompileHeaderRules(map[string][]Piece{"X-Set": tt.pieces}, map[string][]Piece{"X-Add": tt.pieces}, nil)
		if err != nil {
			t.Fatal(err)
		}
		h := http.Header{"X-Set": {"the client's"}}
		rules.Apply(h, &Facts{
			Host: "shop.test", Scheme: "https", Path: "/a/b", Query: "c=d", Method: "GET", Route: "all", ClientIP: netip.MustParseAddr("192.0.2.1"),
			RequestID: func() string { return "id" }, Captured: map[string]string{"b": "b%0A", "lines": "a\r\nb: c", "long": strings.Repeat("x", maxValue)},
		})
		if d := cmp.Diff(tt.want, h["X-Set"]); d != "" {
			t.Errorf("%v: %s", tt.pieces, d)
		}
		if d := cmp.Diff(tt.want, h["X-Add"]); d != "" {
			t.Errorf("%v: %s", tt.pieces, d)
		}
	}
}

func TestHeaderRules(t *testing.T) {
	rules, err := CompileHeaderRules(texts("x-set", "new", "X-Both", "one"), texts("X-Add", "more", "x-both", "two"), []string{"server", "X-Set"})
	if err != nil {
		t.Fatal(err)
	}
	shared := make([]string, 1, 8)
	shared[0] = "old"
	h := http.Header{"Server": {"x"}, "X-Set": {"old", "older"}, "X-Add": shared}
	rules.Apply(h, &Facts{})
	want := http.Header{"X-Set": {"new"}, "X-Add": {"old", "more"}, "X-Both": {"one", "two"}}
	if d := cmp.Diff(want, h); d != "" {
		t.Error(d)
	}
	if shared[:2][1] != "" {
		t.Error("Apply appended to a shared slice")
	}
	// All requests share the rules. A value added for one request must not show in another.
	h["X-Set"] = append(h["X-Set"], "mine")
	again := http.Header{}
	rules.Apply(again, &Facts{})
	if d := cmp.Diff(http.Header{"X-Set": {"new"}, "X-Add": {"more"}, "X-Both": {"one", "two"}}, again); d != "" {
		t.Error(d)
	}
	var none *HeaderRules
	none.Apply(h, &Facts{})
	if !none.Empty() || !new(HeaderRules).Empty() || rules.Empty() {
		t.Error("Empty is wrong")
	}
}

func TestHeaderRulesRefuse(t *testing.T) {
	_, err := CompileHeaderRules(texts("Content-Length", "1", "a b", "x", "X-Nl", "a\r\nb: c"), texts("connection", "x"), []string{"Host", "Transfer-Encoding", ""})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"Content-Length cannot", `"a b"`, "X-Nl", "Connection cannot", "Host cannot", "Transfer-Encoding cannot", `""`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}

func TestWriteError(t *testing.T) {
	f := func(method, accept, wantType, wantBody string) {
		t.Helper()
		r := httptest.NewRequest(method, "/", nil)
		if accept != "" {
			r.Header.Set("Accept", accept)
		}
		w := httptest.NewRecorder()
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Etag", `"x"`)
		WriteError(w, r, 504, "connection_timeout", "the upstream did not answer")
		h := w.Header()
		if w.Code != 504 || h.Get("Content-Type") != wantType || w.Body.String() != wantBody {
			t.Errorf("%s, Accept %q: %d %v %q", method, accept, w.Code, h, w.Body)
		}
		if h.Get("Proxy-Status") != "penstock; error=connection_timeout" || h.Get("Cache-Control") != "no-store" || h.Get("Content-Encoding") != "" || h.Get("Etag") != "" || h.Get("Content-Length") == "0" {
			t.Errorf("header %v", h)
		}
	}
	const text, plain = "504 Gateway Timeout: the upstream did not answer\n", "text/plain; charset=utf-8"
	const problem, body = "application/problem+json", `{"title":"Gateway Timeout","status":504,"detail":"the upstream did not answer"}` + "\n"
	f("GET", "", plain, text)
	f("GET", "*/*", plain, text)
	f("GET", "text/html, application/json;q=0", plain, text)
	f("GET", "text/html, application/json;q=0.0", plain, text)
	f("GET", "application/json", problem, body)
	f("GET", "text/html;q=0.1, Application/JSON ; q=0.5", problem, body)
	f("GET", "application/vnd.api+json", problem, body)
	f("HEAD", "", plain, "")

	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept", "application/json")
	WriteError(w, r, 404, "", `a "quoted" <detail>`)
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got["detail"] != `a "quoted" <detail>` || w.Header()["Proxy-Status"] != nil {
		t.Errorf("%v %v %v", got, err, w.Header())
	}
}

func TestMethodNotAllowed(t *testing.T) {
	w := httptest.NewRecorder()
	MethodNotAllowed([]string{"POST", "GET", "HEAD", "GET"})(w, httptest.NewRequest("PUT", "/", nil))
	if w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD, POST" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestRequireHTTPS(t *testing.T) {
	f := func(mode HTTPSMode, scheme, host, target string, wantCode int, wantLocation string) {
		t.Helper()
		m, err := RequireHTTPS(mode)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("POST", target, nil)
		r.Host = host
		r = r.WithContext(observe.NewContext(r.Context(), &observe.Event{Scheme: scheme}))
		w := httptest.NewRecorder()
		m(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(299) })).ServeHTTP(w, r)
		if w.Code != wantCode || w.Header().Get("Location") != wantLocation {
			t.Errorf("%s %s: %d %q", mode, scheme, w.Code, w.Header().Get("Location"))
		}
	}
	f(HTTPSOff, "http", "a", "/", 299, "")
	f("", "http", "a", "/", 299, "")
	f(HTTPSRedirect, "https", "a", "/", 299, "")
	f(HTTPSReject, "https", "a", "/", 299, "")
	f(HTTPSReject, "http", "a", "/", 403, "")
	f(HTTPSRedirect, "http", "a.example", "/x%2Fy?q=1", 308, "https://a.example/x%2Fy?q=1")
	f(HTTPSRedirect, "http", "a.example:8080", "/", 308, "https://a.example/")
	f(HTTPSRedirect, "http", "[::1]:8080", "/", 308, "https://[::1]/")
	if _, err := RequireHTTPS("sometimes"); err == nil {
		t.Error("an unknown mode is accepted")
	}
}

func TestLimitBody(t *testing.T) {
	f := func(outer, inner int64, size int, announced bool, wantCode int, wantErr bool) {
		t.Helper()
		var err error
		handler := LimitBody(outer)(LimitBody(inner)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, err = io.Copy(io.Discard, r.Body)
		})))
		r := httptest.NewRequest("POST", "/", io.MultiReader(strings.NewReader(strings.Repeat("x", size))))
		r.ContentLength = -1
		if announced {
			r.ContentLength = int64(size)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		var tooLarge *http.MaxBytesError
		if w.Code != wantCode || errors.As(err, &tooLarge) != wantErr {
			t.Errorf("limits %d, %d, size %d, announced %v: %d, %v", outer, inner, size, announced, w.Code, err)
		}
	}
	f(0, 10, 10, true, 200, false)
	f(0, 10, 11, true, 413, false)
	f(0, 10, 11, false, 200, true)
	f(0, 0, 1<<20, false, 200, false)
	f(10, 20, 15, false, 200, false) // the inner limit applies, whether wider or narrower
	f(20, 10, 15, false, 200, true)
}

func TestOptionsStarPasses(t *testing.T) {
	r := httptest.NewRequest("OPTIONS", "*", nil)
	out, _, w := through(t, r)
	if out == nil || out.URL.Path != "*" || out.RequestURI != "*" {
		t.Errorf("%v, %d", out, w.Code)
	}
}

func TestRefusedRequestsAreKnownByAddress(t *testing.T) {
	r := httptest.NewRequest("TRACE", "/", nil)
	r.RemoteAddr = "10.0.0.1:9"
	r.Header.Set("X-Forwarded-For", "1.1.1.1")
	out, ev, w := through(t, r)
	if out != nil || w.Code != 405 || w.Header().Get("Allow") == "" || ev.ClientIP.String() != "1.1.1.1" || ev.Scheme != "http" {
		t.Errorf("%d %v %+v", w.Code, w.Header(), ev)
	}
}

func TestGuardLeavesTheServersRequestAlone(t *testing.T) {
	r := httptest.NewRequest("POST", "http://A.example:80/./b", strings.NewReader("x"))
	body, u, host := r.Body, *r.URL, r.Host
	out, _, _ := through(t, r)
	if r.Body != body || *r.URL != u || r.Host != host {
		t.Error("the request that net/http keeps was changed")
	}
	if out.URL.String() != "/b" || out.Host != "a.example" || out.URL.RawPath != "/b" {
		t.Errorf("%v %v", out.URL, out.Host)
	}
}

func BenchmarkGuard(b *testing.B) {
	g := NewGuard(GuardConfig{URLBytes: 8192, QueryParams: 1000, HeaderBytes: 32768})(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r := httptest.NewRequest("GET", "/api/users/17?x=1", nil)
	r.Header = http.Header{"Accept": {"*/*"}, "User-Agent": {"curl/8"}, "Accept-Encoding": {"gzip, br"}, "Cookie": {"a=b; c=d"}}
	r = r.WithContext(observe.NewContext(r.Context(), new(observe.Event)))
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		g.ServeHTTP(w, r)
	}
}
