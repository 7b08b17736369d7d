package edge

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/penstock/penstock/proxy/observe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is the handler behind the guard. It records the requests that it gets.
type recorder struct {
	mu   sync.Mutex
	seen []string
	errs []error
	addr string
}

func (rec *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.seen = append(rec.seen, fmt.Sprintf("%s %s %s %s %q", r.Method, r.Host, r.URL.RequestURI(), r.RequestURI, body))
	rec.errs = append(rec.errs, err)
	w.Header().Set("X-Seen", r.URL.Path)
}

// take returns the records since the last call.
func (rec *recorder) take() (seen []string, errs []error) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	seen, errs = rec.seen, rec.errs
	rec.seen, rec.errs = nil, nil
	return seen, errs
}

var limits = GuardConfig{URLBytes: 200, QueryParams: 5, HeaderBytes: 4000, HeaderFields: 20, BodyBytes: 20}

// guarded starts a server with a guard in front of a recorder, for HTTP/1.1 and HTTP/2 in clear
// text.
func guarded(t *testing.T) *recorder {
	t.Helper()
	rec := new(recorder)
	inner := NewGuard(limits)(rec)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(w, r.WithContext(observe.NewContext(r.Context(), new(observe.Event))))
	}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	rec.addr = s.Listener.Addr().String()
	return rec
}

// send writes bytes on a new connection. It returns the status codes of all responses and whether
// the server closed the connection. It waits long for the expected number of responses, or for the
// expected end, and then briefly for anything unexpected.
func (rec *recorder) send(t *testing.T, raw string, expected int, expectClosed bool) (statuses string, closed bool) {
	t.Helper()
	c, err := net.Dial("tcp", rec.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, raw)
	br := bufio.NewReader(c)
	var got []string
	for {
		if !expectClosed && len(got) == expected {
			c.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
		}
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			timeout, ok := err.(net.Error)
			return strings.Join(got, " "), !(ok && timeout.Timeout())
		}
		got = append(got, fmt.Sprint(resp.StatusCode))
		io.Copy(io.Discard, resp.Body)
		if resp.Close {
			return strings.Join(got, " "), true
		}
	}
}

type rawCase struct {
	raw    string
	status string // "200" must reach the handler, as recorded in seen
	seen   string
	closed bool
}

func runRaw(t *testing.T, cases []rawCase) {
	t.Helper()
	rec := guarded(t)
	for _, c := range cases {
		status, closed := rec.send(t, c.raw, len(strings.Fields(c.status)), c.closed)
		seen, _ := rec.take()
		if status != c.status || closed != c.closed || strings.Join(seen, "; ") != c.seen {
			t.Errorf("%q:\n%s, closed %v, seen %q; want\n%s, closed %v, seen %q", c.raw, status, closed, seen, c.status, c.closed, c.seen)
		}
	}
}

const after = "GET /after HTTP/1.1\r\nHost: a\r\n\r\n"

// F1: a message whose end is ambiguous is refused, and no later byte on the connection is taken for
// a request.
func TestF1Framing(t *testing.T) {
	post := func(fields, body string) string {
		return "POST /x HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" + body + after
	}
	var cases []rawCase
	for _, fields := range []string{
		"Transfer-Encoding: xchunked\r\n", "Transfer-Encoding: chunked, identity\r\n", "Transfer-Encoding: identity, chunked\r\n", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked, chunked\r\n", "Transfer-Encoding: \"chunked\"\r\n",
	} {
		cases = append(cases, rawCase{raw: post(fields, "0\r\n\r\n"), status: "501", closed: true})
	}
	for _, fields := range []string{
		"Content-Length: 1\r\nContent-Length: 2\r\n", "Content-Length: 1, 2\r\n", "Content-Length: -1\r\n", "Content-Length: +1\r\n", "Content-Length: 0x1\r\n", "Content-Length: 1 1\r\n",
		"Transfer-Encoding : chunked\r\n", " Transfer-Encoding: chunked\r\n", "Content-Length : 5\r\n", "Transfer-Encoding:\x00chunked\r\n", "\x00Transfer-Encoding: chunked\r\n", "Transfer-Encoding: \x0bchunked\r\n",
	} {
		cases = append(cases, rawCase{raw: post(fields, "x"), status: "400", closed: true})
	}
	// net/http reads the body by Transfer-Encoding and drops Content-Length (RFC 9112 §6.3). The
	// upstream reads the same.
	cases = append(cases, rawCase{raw: post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "1\r\nx\r\n0\r\n\r\n"), status: "200 200", seen: `POST a /x /x "x"; GET a /after /after ""`})
	runRaw(t, cases)
}

// F2: chunk sizes and extensions with stray line ends fail the body; later bytes are not a request.
func TestF2Chunks(t *testing.T) {
	rec := guarded(t)
	for _, body := range []string{"1\nx\r\n0\r\n\r\n", "1;a\nb\r\nx\r\n0\r\n\r\n", "1;a\rb\r\nx\r\n0\r\n\r\n", "1\r\nxx\r\n0\r\n\r\n", "-1\r\nx\r\n0\r\n\r\n", "1 \n\r\nx", "fffffffffffffffff\r\nx", "0x1\r\nx\r\n0\r\n\r\n"} {
		_, closed := rec.send(t, "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"+body+after, 1, true)
		seen, errs := rec.take()
		if !closed || len(seen) != 1 || errs[0] == nil {
			t.Errorf("%q: closed %v, seen %q, errors %v", body, closed, seen, errs)
		}
	}
}

// F3 at the listener: CONNECT and TRACE end there, and the connection with them.
func TestF3ConnectAndTrace(t *testing.T) {
	runRaw(t, []rawCase{
		{raw: "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n" + after, status: "501", closed: true},
		{raw: "CONNECT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" + after, status: "501", closed: true},
		{raw: "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n" + after, status: "405", closed: true},
		{raw: "OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n", status: "200", seen: `OPTIONS a / / ""`},
	})
}

// F7: HTTP/1.0 has no chunks. net/http reads such a body as empty, so its bytes would be the next
// request if the connection stayed open.
func TestF7ChunkedHTTP10(t *testing.T) {
	runRaw(t, []rawCase{
		{raw: "POST /x HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + after, status: "200", seen: `POST a /x /x ""`, closed: true},
		{raw: "POST /x HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\nbody" + after, status: "200", seen: `POST a /x /x ""`, closed: true},
	})
}

// F8: one host in one spelling, or a refusal.
func TestF8Hosts(t *testing.T) {
	get := func(target, fields string) string { return "GET " + target + " HTTP/1.1\r\n" + fields + "\r\n" }
	ok := func(raw, host string) rawCase {
		return rawCase{raw: raw, status: "200", seen: "GET " + host + ` / / ""`}
	}
	bad := func(raw string) rawCase { return rawCase{raw: raw, status: "400", closed: true} }
	runRaw(t, []rawCase{
		ok(get("/", "Host: A.EXAMPLE.:80\r\n"), "a.example"),
		ok(get("/", "Host: [::1]:80\r\n"), "[::1]"),
		// RFC 9112 §3.2.2: the authority of an absolute-form target replaces Host, and no later
		// handler sees Host.
		ok(get("http://A.example:80/", "Host: evil.example\r\n"), "a.example"),
		ok(get("http://a.example", "Host: a.example\r\n"), "a.example"),
		bad(get("/", "Host: a\r\nHost: b\r\n")),
		bad(get("/", "Host: a\r\nHost: a\r\n")),
		bad(get("/", "")),
		bad(get("/", "Host: \r\n")),
		bad(get("/", "Host: u@a\r\n")),
		bad(get("/", "Host: [fe80::1%25eth0]\r\n")),
		bad(get("/", "Host: a/b\r\n")),
		bad(get("/", "Host: a,b\r\n")),
		bad(get("http://u:p@a/", "Host: a\r\n")),
		bad(get("ftp://a/", "Host: a\r\n")),
		bad(get("http:///", "Host: a\r\n")),
		bad(get("a", "Host: a\r\n")),
		{raw: "GET / HTTP/1.0\r\n\r\n", status: "200", seen: `GET  / / ""`, closed: true}, // RFC 9112 §3.2 requires Host only in HTTP/1.1
	})
}

// F9: fields that recipients read differently.
func TestF9Fields(t *testing.T) {
	var cases []rawCase
	for _, fields := range []string{" X: y\r\nHost: a\r\n", "Host: a\r\nX : y\r\n", "Host: a\r\nX\t: y\r\n", "Host: a\r\nX: a\x00b\r\n", "Host: a\r\nX: a\x01b\r\n", "Host: a\r\nX y: z\r\n", "Host: a\r\n: y\r\n", "Host: a\r\nX\r\n"} {
		cases = append(cases, rawCase{raw: "GET / HTTP/1.1\r\n" + fields + "\r\n", status: "400", closed: true})
	}
	// obs-fold: net/http replaces it by one space, as RFC 9112 §5.2 allows.
	cases = append(cases, rawCase{raw: "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", status: "200", seen: `GET a / / ""`})
	runRaw(t, cases)
}

// F10, K12: a target reaches the handler in canonical form or not at all.
func TestF10Targets(t *testing.T) {
	ok := func(target, want string) rawCase {
		return rawCase{raw: "GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n", status: "200", seen: fmt.Sprintf("GET a %s %s %q", want, want, "")}
	}
	bad := func(target, status string) rawCase {
		return rawCase{raw: "GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n", status: status, closed: status == "400"}
	}
	runRaw(t, []rawCase{
		ok("/a/../%62//c?x=%0a&y", "/b//c?x=%0a&y"),
		ok("/a%2fb?", "/a%2Fb?"),
		ok("http://a/x/./y", "/x/y"),
		ok("http://a?q=1", "/?q=1"),
		ok("/caf\xc3\xa9", "/caf%C3%A9"),
		bad("/a%0d%0aSet-Cookie:x=1", "400"),
		bad("/a%00", "400"),
		bad("/a%0a", "400"),
		ok("/a?b=%00%0A%ff%2f%25%7f", "/a?b=%00%0A%ff%2f%25%7f"),
		bad("/a\x7f", "400"),
		bad(`/a\..\b`, "400"),
		bad("/a%5c..%5cb", "400"),
		bad("/static/..%2faccount", "400"),
		bad("/a..%2f/..;/b", "400"),
		bad("/a%zz", "400"),
		bad("/a#b", "400"),
		bad("*", "400"),
		bad("/?"+strings.Repeat("a&", 5), "400"),
		bad("/"+strings.Repeat("a", 200), "414"),
	})
}

func TestLimits(t *testing.T) {
	get := func(fields string) string { return "GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" }
	runRaw(t, []rawCase{
		{raw: get("X: " + strings.Repeat("y", 3000) + "\r\n"), status: "200", seen: `GET a / / ""`},
		{raw: get("X: " + strings.Repeat("y", 4000) + "\r\n"), status: "431"},
		{raw: get(strings.Repeat("X: y\r\n", 20)), status: "200", seen: `GET a / / ""`},
		{raw: get(strings.Repeat("X: y\r\n", 21)), status: "431"},
		{raw: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 21\r\n\r\n", status: "413", closed: true},
		{raw: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n" + strings.Repeat("x", 20), status: "200", seen: `POST a / / "xxxxxxxxxxxxxxxxxxxx"`},
		{raw: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n15\r\n" + strings.Repeat("x", 21) + "\r\n0\r\n\r\n", status: "200", seen: `POST a / / "xxxxxxxxxxxxxxxxxxxx"`, closed: true},
	})
}

// h2 sends one request as raw HTTP/2 frames and returns ":status", "RST" or "GOAWAY".
func (rec *recorder) h2(t *testing.T, fields []hpack.HeaderField, body string) string {
	t.Helper()
	c, err := net.Dial("tcp", rec.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, http2.ClientPreface)
	fr := http2.NewFramer(c, c)
	fr.AllowIllegalWrites = true
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	fr.WriteSettings()
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, f := range fields {
		enc.WriteField(f)
	}
	fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: body == ""})
	if body != "" {
		fr.WriteData(1, true, []byte(body))
	}
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			return "closed"
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			return f.PseudoValue("status")
		case *http2.RSTStreamFrame:
			return "RST"
		case *http2.GoAwayFrame:
			return "GOAWAY"
		}
	}
}

// F4: requests that HTTP/2 can carry and HTTP/1.1 cannot.
func TestF4HTTP2(t *testing.T) {
	rec := guarded(t)
	f := func(want string, change map[string]string, extra ...string) {
		t.Helper()
		fields := []hpack.HeaderField{}
		for _, name := range []string{":method", ":scheme", ":authority", ":path", ":protocol"} {
			value, changed := change[name]
			if !changed {
				value = map[string]string{":method": "POST", ":scheme": "http", ":authority": "A.example:80", ":path": "/a//b"}[name]
			}
			if value != "" {
				fields = append(fields, hpack.HeaderField{Name: name, Value: value})
			}
		}
		for i := 0; i < len(extra); i += 2 {
			fields = append(fields, hpack.HeaderField{Name: extra[i], Value: extra[i+1]})
		}
		got := rec.h2(t, fields, "x")
		seen, _ := rec.take()
		if want == "200" {
			if got != "200" || len(seen) != 1 || seen[0] != `POST a.example /a//b /a//b "x"` {
				t.Errorf("%v %v: %s, seen %q", change, extra, got, seen)
			}
			return
		}
		if got == "200" || len(seen) != 0 || want != "" && got != want {
			t.Errorf("%v %v: %s, seen %q; want it refused %s", change, extra, got, seen, want)
		}
	}
	f("200", nil)
	f("200", nil, "host", "a.EXAMPLE:80")
	f("200", nil, "content-length", "1")
	f("", nil, "host", "other.example")
	f("", nil, "transfer-encoding", "chunked")
	f("", nil, "connection", "x-hop")
	f("", nil, "keep-alive", "1")
	f("", nil, "upgrade", "websocket")
	f("", nil, "te", "gzip")
	f("", nil, "content-length", "1", "content-length", "2")
	f("", nil, "x", "a\r\nb: c")
	f("", nil, "x", "a\x00b")
	f("", nil, "x", "a\nb")
	f("", nil, "x y", "z")
	f("", nil, "X-Upper", "z")
	f("", nil, ":status", "200")
	f("", map[string]string{":authority": "u@a"})
	f("", map[string]string{":authority": "a b"})
	f("", map[string]string{":authority": "a\r\nx: y"})
	f("", map[string]string{":authority": ""})
	f("", map[string]string{":path": "/a b"})
	f("", map[string]string{":path": "/?a b HTTP/1.1"})
	f("", map[string]string{":path": "/?a\r\nX: y"})
	f("", map[string]string{":path": "/#a"})
	f("", map[string]string{":path": "a"})
	f("", map[string]string{":path": ""})
	f("", map[string]string{":method": "GE T"})
	f("", map[string]string{":method": "GET / HTTP/1.1\r\nX: y\r\n\r\n"})
	// F3: CONNECT with DATA, plain and extended.
	f("501", map[string]string{":method": "CONNECT", ":scheme": "", ":path": ""})
	f("", map[string]string{":method": "CONNECT", ":protocol": "websocket"})
}
