package edge

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/penstock/penstock/proxy/observe"
)

// corsSample has each kind of rule.
func corsSample() *CORS {
	return CompileCORS(CORSRules{
		Origins: []string{"https://app.example.com", "https://*.example.org", "https://*.example.net:8443", "http://[::1]:5173"},
		Methods: []string{"GET", "PUT"}, Headers: []string{"Content-Type", "X-Requested-With"}, Expose: []string{"X-Total", "Etag"},
		Credentials: true, MaxAge: 10 * time.Minute,
	})
}

func TestCORSAllowsOrigins(t *testing.T) {
	c := corsSample()
	for origin, want := range map[string]bool{
		"https://app.example.com":                              true,
		"http://app.example.com":                               false,
		"https://app.example.com:8443":                         false,
		"https://app.example.com.evil.example":                 false,
		"https://app.example.com/":                             false,
		"https://APP.example.com":                              false,
		"https://xapp.example.com":                             false,
		"https://a.example.org":                                true,
		"https://a.b-c.example.org":                            true,
		"https://example.org":                                  false,
		"https://.example.org":                                 false,
		"https://a..example.org":                               false,
		"https://.a.example.org":                               false,
		"https://aexample.org":                                 false,
		"https://a.example.org:444":                            false,
		"http://a.example.org":                                 false,
		"https://evil.example/.example.org":                    false,
		"https://evil.example#.example.org":                    false,
		"https://evil.example\\.example.org":                   false,
		"https://u@a.example.org":                              false,
		"https://a:1.example.org":                              false,
		"https://A.example.org":                                false,
		"https://a.example.org https://b":                      false,
		"https://b, https://a.example.org":                     false,
		"https://a\r\nX.example.org":                           false,
		"https://a.example.net:8443":                           true,
		"https://a.example.net":                                false,
		"https://a.example.net:84430":                          false,
		"http://[::1]:5173":                                    true,
		"null":                                                 false,
		"*":                                                    false,
		"":                                                     false,
		"https://*.example.org":                                false,
		"https://":                                             false,
		"https://" + strings.Repeat("a", 63) + ".example.org":  true,
		"https://" + strings.Repeat("a.", 200) + "example.org": false,
	} {
		if got := c.allows(origin); got != want {
			t.Errorf("%q: %v", origin, got)
		}
	}
	named := CompileCORS(CORSRules{Origins: []string{"null"}})
	if !named.allows("null") || named.allows("https://null") {
		t.Error("null is allowed only where it is named")
	}
}

// reply is a response of a stage behind the decoration, whose handler answers as an origin server
// that has its own mind about other origins.
func reply(c *CORS, method string, fields ...string) (*httptest.ResponseRecorder, *observe.Event, bool) {
	passed := false
	r := httptest.NewRequest(method, "/", nil)
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	ev := new(observe.Event)
	w := httptest.NewRecorder()
	c.Decorate(CORSStage(c).Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		passed = true
		for _, name := range []string{"Origin", "Credentials", "Methods", "Headers"} {
			w.Header().Set("Access-Control-Allow-"+name, "of the origin server")
		}
		w.Header().Set("Access-Control-Max-Age", "86400")
		w.Header().Set("Vary", "Accept")
		w.WriteHeader(http.StatusTeapot)
	}))).ServeHTTP(w, r.WithContext(observe.NewContext(r.Context(), ev)))
	return w, ev, passed
}

// corsLines returns the fields of the CORS protocol in h, and Vary.
func corsLines(h http.Header) []string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if strings.HasPrefix(name, "Access-Control-") || name == "Vary" {
			for _, value := range h[name] {
				lines = append(lines, strings.TrimPrefix(name, "Access-Control-")+": "+value)
			}
		}
	}
	return lines
}

func TestCORSResponses(t *testing.T) {
	open := CompileCORS(CORSRules{Origins: []string{"*"}, Methods: []string{"GET"}})
	const credentials, app, expose = "Allow-Credentials: true", "Allow-Origin: https://app.example.com", "Expose-Headers: X-Total, Etag"
	for _, c := range []struct {
		name   string
		rules  *CORS
		fields []string
		want   []string
	}{
		{"an allowed origin", corsSample(), []string{"Origin", "https://app.example.com"}, []string{credentials, app, expose, "Vary: Accept", "Vary: Origin"}},
		{"an origin of a pattern", corsSample(), []string{"Origin", "https://x.example.org"}, []string{credentials, "Allow-Origin: https://x.example.org", expose, "Vary: Accept", "Vary: Origin"}},
		{"a refused origin", corsSample(), []string{"Origin", "https://evil.example"}, []string{"Vary: Accept", "Vary: Origin"}},
		{"no origin", corsSample(), nil, []string{"Vary: Accept", "Vary: Origin"}},
		{"two origins", corsSample(), []string{"Origin", "https://app.example.com", "Origin", "https://app.example.com"}, []string{"Vary: Accept", "Vary: Origin"}},
		{"any origin", open, []string{"Origin", "https://evil.example"}, []string{"Allow-Origin: *", "Vary: Accept"}},
		{"any origin, and none", open, nil, []string{"Allow-Origin: *", "Vary: Accept"}},
	} {
		for _, method := range []string{"GET", "POST", "OPTIONS"} {
			w, _, passed := reply(c.rules, method, c.fields...)
			if got := corsLines(w.Header()); !passed || w.Code != http.StatusTeapot || !slices.Equal(got, c.want) {
				t.Errorf("%s, %s: passed: %v, %d %q", c.name, method, passed, w.Code, got)
			}
		}
	}
}

func TestCORSPreflights(t *testing.T) {
	const vary = "Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
	allowed := []string{
		"Allow-Credentials: true", "Allow-Headers: Content-Type, X-Requested-With", "Allow-Methods: GET, PUT", "Allow-Origin: https://app.example.com", "Max-Age: 600", vary,
	}
	const origin, method, headers, app = "Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers", "https://app.example.com"
	for _, c := range []struct {
		name   string
		fields []string
		reason string
	}{
		{"a method", []string{origin, app, method, "PUT"}, ""},
		{"a method and fields", []string{origin, app, method, "GET", headers, "content-type,x-requested-with"}, ""},
		{"fields in another form", []string{origin, app, method, "GET", headers, " Content-Type ,, X-REQUESTED-WITH"}, ""},
		{"no fields", []string{origin, app, method, "GET", headers, ""}, ""},
		{"another origin", []string{origin, "https://evil.example", method, "PUT"}, corsOrigin},
		{"two origins", []string{origin, app, origin, app, method, "PUT"}, corsOrigin},
		{"null", []string{origin, "null", method, "PUT"}, corsOrigin},
		{"another method", []string{origin, app, method, "DELETE"}, corsMethod},
		{"a method in another case", []string{origin, app, method, "put"}, corsMethod},
		{"two methods", []string{origin, app, method, "PUT", method, "PUT"}, corsMethod},
		{"several methods", []string{origin, app, method, "GET, PUT"}, corsMethod},
		{"another field", []string{origin, app, method, "PUT", headers, "content-type,x-other"}, corsHeader},
		{"any field", []string{origin, app, method, "PUT", headers, "*"}, corsHeader},
		{"two lines of fields", []string{origin, app, method, "PUT", headers, "content-type", headers, "content-type"}, corsHeader},
		{"nothing that is allowed", []string{origin, "https://evil.example", method, "DELETE", headers, "x"}, corsOrigin},
	} {
		w, ev, passed := reply(corsSample(), "OPTIONS", c.fields...)
		want, status := allowed, http.StatusNoContent
		if c.reason != "" {
			want, status = []string{vary}, http.StatusForbidden
		}
		if got := corsLines(w.Header()); passed || w.Code != status || ev.Status != status || ev.Refusal != c.reason || !slices.Equal(got, want) {
			t.Errorf("%s: passed: %v, %d (recorded %d, %q) %q", c.name, passed, w.Code, ev.Status, ev.Refusal, got)
		}
	}
	open := CompileCORS(CORSRules{Origins: []string{"*"}, Methods: []string{"GET"}})
	w, _, _ := reply(open, "OPTIONS", origin, "https://x.example", method, "GET")
	if got, want := corsLines(w.Header()), []string{"Allow-Methods: GET", "Allow-Origin: *", "Vary: " + method + ", " + headers}; !slices.Equal(got, want) {
		t.Errorf("for any origin: %q", got)
	}
}

// TestNoPreflight: these OPTIONS go on.
func TestNoPreflight(t *testing.T) {
	for _, fields := range [][]string{nil, {"Origin", "https://app.example.com"}, {"Access-Control-Request-Method", "PUT"}} {
		if w, _, passed := reply(corsSample(), "OPTIONS", fields...); !passed || w.Code != http.StatusTeapot {
			t.Errorf("%q: passed: %v, %d", fields, passed, w.Code)
		}
	}
	if _, _, passed := reply(corsSample(), "GET", "Origin", "https://app.example.com", "Access-Control-Request-Method", "PUT"); !passed {
		t.Error("a GET was taken for a preflight")
	}
}

// TestDecoratedWriters: each way to send a response carries the fields, and an interim response has
// none.
func TestDecoratedWriters(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"nothing":  func(http.ResponseWriter, *http.Request) {},
		"a status": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) },
		"content":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("x")) },
		"a flush":  func(w http.ResponseWriter, _ *http.Request) { _ = http.NewResponseController(w).Flush() },
		"an interim response": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Access-Control-Allow-Origin", "*")
			if w.WriteHeader(103); w.Header().Get("Access-Control-Allow-Origin") != "" {
				panic("the interim response has a field of the origin server")
			}
			w.WriteHeader(200)
		},
		"an error": func(w http.ResponseWriter, r *http.Request) { WriteError(w, r, 502, "", "x") },
	} {
		s := httptest.NewServer(corsSample().Decorate(answer))
		r, err := http.NewRequest("GET", s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", "https://app.example.com")
		resp, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		s.Close()
		if got := resp.Header; got.Get("Access-Control-Allow-Origin") != "https://app.example.com" || got.Get("Vary") != "Origin" {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestLimitedBodyBehindDecoration: a client that sends too much is still disconnected.
func TestLimitedBodyBehindDecoration(t *testing.T) {
	s := httptest.NewServer(corsSample().Decorate(LimitBody(10)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = r.Body.Read(make([]byte, 100))
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	}))))
	defer s.Close()
	resp, err := s.Client().Post(s.URL, "text/plain", struct{ *strings.Reader }{strings.NewReader(strings.Repeat("x", 50))})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge || !resp.Close {
		t.Errorf("%d, closed: %v", resp.StatusCode, resp.Close)
	}
}

func TestCORSExplains(t *testing.T) {
	for _, c := range []struct {
		method string
		fields http.Header
		status int
		want   string
	}{
		{"GET", http.Header{"Origin": {"https://app.example.com"}}, 0, "Access-Control-Allow-Origin: https://app.example.com"},
		{"GET", http.Header{"Origin": {"https://evil.example"}}, 0, "Vary: Origin"},
		{"GET", http.Header{}, 0, "Vary: Origin"},
		{"OPTIONS", http.Header{"Origin": {"https://app.example.com"}, "Access-Control-Request-Method": {"PUT"}}, 204, "Access-Control-Allow-Methods: GET, PUT"},
		{"OPTIONS", http.Header{"Origin": {"https://app.example.com"}, "Access-Control-Request-Method": {"DELETE"}}, 403, "Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers"},
	} {
		e := Explain([]Stage{CORSStage(corsSample())}, &Located{Method: c.method, Fields: HeaderFields(c.fields)})
		switch {
		case e.CORS == nil || !slices.Contains(e.CORS.Fields, c.want):
			t.Errorf("%s %v: %+v", c.method, c.fields, e.CORS)
		case (e.Refused == nil) != (c.status == 0) || e.Refused != nil && (e.Refused.Status != c.status || e.Refused.Why == ""):
			t.Errorf("%s %v: %+v", c.method, c.fields, e.Refused)
		}
	}
}

// someOrigins are drawn in parts that make both allowed origins and ones that look like them.
var someOrigins = rapid.Custom(func(t *rapid.T) string {
	part := func(of ...string) string { return rapid.SampledFrom(of).Draw(t, "part") }
	return part("https://", "http://", "HTTPS://", "", "null") + part("", "a.", "*.", "a..", ".", "evil.example/", "evil.example#", "u@", "a\r\n.", "\u00e9.") +
		part("app.example.com", "x.example.org", "example.org", "a.example.net:8443", "evil.example", "") + part("", "", ":443", "/", ".", ".evil.example", ", https://b", " ", "\x00")
})

// TestCORSProperty: a page of an origin that is not allowed never sees
// Access-Control-Allow-Origin, and its value is * or the request's own Origin. Both forms of the
// fields, for a header and for a connection, are the same.
func TestCORSProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkCORS(t, someOrigins.Draw(t, "origin")) })
}

func FuzzOrigin(f *testing.F) {
	for _, seed := range []string{"https://app.example.com", "https://a.example.org", "https://a..example.org", "null", "*", "", "https://evil.example/.example.org"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, origin string) { checkCORS(t, origin) })
}

func checkCORS(t rapid.TB, origin string) {
	for name, rules := range map[string]CORSRules{
		"sample": {Origins: []string{"https://app.example.com", "https://*.example.org", "https://*.example.net:8443"}, Credentials: true, Expose: []string{"X-A"}},
		"any":    {Origins: []string{"*"}},
		"null":   {Origins: []string{"null"}},
	} {
		c := CompileCORS(rules)
		g := c.Grant(HeaderFields(http.Header{"Origin": {origin}}))
		allowed := c.any || independentlyAllowed(rules.Origins, origin)
		if (g.value != "") != allowed || g.value != "" && g.value != origin && g.value != "*" || g.value == "*" && rules.Credentials {
			t.Fatalf("%s: %q gets %q", name, origin, g.value)
		}
		if allowed && strings.ContainsAny(g.value, "\r\n\x00 ,") {
			t.Fatalf("%s: %q would break the line", name, origin)
		}
		h := http.Header{"Access-Control-Allow-Origin": {"of the origin server"}, "Vary": {"Accept"}}
		g.set(h)
		text := "Vary: Accept\r\n"
		want := strings.Split(string(g.AppendVary(append(g.AppendLines(nil), text...), false)), "\r\n")
		var got []string
		for _, field := range slices.Sorted(maps.Keys(h)) {
			for _, value := range h[field] {
				got = append(got, field+": "+value)
			}
		}
		if !slices.Equal(append(got, ""), want) {
			t.Fatalf("%s: %q: %q on a connection, %q by the handler", name, origin, want, got)
		}
		if len(h["Access-Control-Allow-Origin"]) > 0 != allowed {
			t.Fatalf("%s: %q sees %q", name, origin, h)
		}
	}
}

// independentlyAllowed reads the patterns in another way than the gateway does.
func independentlyAllowed(patterns []string, origin string) bool {
	scheme, host, ok := strings.Cut(origin, "://")
	labels := strings.Split(host, ".")
	for _, p := range patterns {
		of, below, wild := strings.Cut(p, "*.")
		if !wild {
			if p == origin {
				return true
			}
			continue
		}
		end := strings.Split(below, ".")
		n := len(labels) - len(end)
		if !ok || of != scheme+"://" || n < 1 || !slices.Equal(labels[n:], end) || len(strings.Join(labels, ".")) > 259 {
			continue
		}
		if !slices.ContainsFunc(labels[:n], func(l string) bool {
			return l == "" || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-_") != ""
		}) {
			return true
		}
	}
	return false
}
