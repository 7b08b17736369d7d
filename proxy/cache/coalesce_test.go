package cache_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	. "github.com/penstock/penstock/test/gatewaytest"
)

// gated holds its answers back until the gate opens.
func gated(gate *Gate, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { gate.Wait(); h(w, r) }
}

// halves sends the first half of a body, and the second once the gate is open.
func halves(gate *Gate, first, second string, fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		Text(first, fields...)(w, r)
		w.(http.Flusher).Flush()
		gate.Wait()
		io.WriteString(w, second)
	}
}

func TestHerdMakesOneCall(t *testing.T) {
	const clients = 200
	gate := NewGate(t)
	o := NewOrigin(t, gated(gate, Text("x", "Cache-Control", "max-age=60")))
	g := Route(t, o.URL, cached)
	var replies []<-chan *Response
	for range clients {
		replies = append(replies, g.Go("/"))
	}
	g.AwaitWaiting(clients - 1)
	gate.Open()
	for _, c := range replies {
		want(t, g.Await(c), 200, "x")
	}
	wantCalls(t, o, 1)
}

func TestCoalesceOff(t *testing.T) {
	gate := NewGate(t)
	o := NewOrigin(t, gated(gate, Text("x", "Cache-Control", "max-age=60")))
	g := Route(t, o.URL, cached+"\ncoalesce: {enabled: false}")
	a, b := g.Go("/"), g.Go("/")
	gate.Came(t)
	gate.Came(t)
	gate.Open()
	g.Await(a)
	g.Await(b)
	wantCalls(t, o, 2)
}

// readSome reads what is there of n bytes.
func readSome(t *testing.T, r io.Reader, n int) string {
	t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		t.Fatalf("reading %d bytes: %v", n, err)
	}
	return string(b)
}

func open(t *testing.T, g *Gateway, path string, fields ...string) *http.Response {
	t.Helper()
	resp, err := g.Open(context.Background(), "GET", path, nil, fields...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func TestFollowersGetBytesAsTheyCome(t *testing.T) {
	gate := NewGate(t)
	o := NewOrigin(t, halves(gate, "first,", "second", "Cache-Control", "max-age=60"))
	g := Route(t, o.URL, cached)
	leader := open(t, g, "/")
	follower := open(t, g, "/")
	for _, r := range []*http.Response{leader, follower} {
		if got := readSome(t, r.Body, 6); got != "first," {
			t.Fatalf("got %q", got)
		}
	}
	gate.Open()
	for _, r := range []*http.Response{leader, follower} {
		if rest, err := io.ReadAll(r.Body); string(rest) != "second" || err != nil {
			t.Fatalf("got %q, %v", rest, err)
		}
	}
	wantHit(t, g.Get("/"), "first,second")
	wantCalls(t, o, 1)
}

// TestNobodyJoinsWhatIsStale: a body may take longer to come than its response is fresh. Who asks then is not given it, and what that fetches is shared
// and stays, whichever of the two is whole first.
func TestNobodyJoinsWhatIsStale(t *testing.T) {
	for _, first := range []string{"old", "new"} {
		t.Run(first+" ends first", func(t *testing.T) {
			gates := map[string]*Gate{"old": NewGate(t), "new": NewGate(t)}
			o := NewOrigin(t, halves(gates["old"], "old,", "old", "Cache-Control", "max-age=5"))
			g := Route(t, o.URL, cached)
			old := open(t, g, "/")
			readSome(t, old.Body, 4)
			g.Clock.Advance(6 * time.Second)
			o.Answer(halves(gates["new"], "new,", "new", "Cache-Control", "max-age=5"))
			late, later := open(t, g, "/"), open(t, g, "/")
			for _, r := range []*http.Response{late, later} {
				if got := readSome(t, r.Body, 4); got != "new," {
					t.Errorf("got %q of a response that was stale before the request", got)
				}
			}
			wantCalls(t, o, 2)
			bodies := map[string][]*http.Response{"old": {old}, "new": {late, later}}
			order := []string{"old", "new"}
			if first == "new" {
				order = []string{"new", "old"}
			}
			for _, which := range order {
				gates[which].Open()
				for _, r := range bodies[which] {
					if rest, err := io.ReadAll(r.Body); string(rest) != which || err != nil {
						t.Errorf("got %q, %v", rest, err)
					}
				}
				Eventually(t, "the fill to end", func() bool { return g.Fills.Load() >= 1 })
			}
			Eventually(t, "both fills to end", func() bool { return g.Fills.Load() == 2 })
			wantHit(t, g.Get("/"), "new,new")
			wantCalls(t, o, 2)
		})
	}
}

func TestClientsThatLeaveTakeNothingWithThem(t *testing.T) {
	for _, who := range []string{"leader", "follower"} {
		t.Run(who, func(t *testing.T) {
			gate := NewGate(t)
			o := NewOrigin(t, halves(gate, "first,", "second", "Cache-Control", "max-age=60"))
			g := Route(t, o.URL, cached)
			ctx, leave := context.WithCancel(context.Background())
			defer leave()
			contexts := map[string]context.Context{"leader": context.Background(), "follower": context.Background(), who: ctx}
			bodies := map[string]io.ReadCloser{}
			for _, role := range []string{"leader", "follower"} {
				resp, err := g.Open(contexts[role], "GET", "/", nil)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				readSome(t, resp.Body, 6)
				bodies[role] = resp.Body
			}
			leave()
			if e := g.Event(); e.BytesOut != 6 {
				t.Errorf("the one who left had %d bytes", e.BytesOut)
			}
			gate.Open()
			for role, body := range bodies {
				if rest, err := io.ReadAll(body); role != who && (string(rest) != "second" || err != nil) {
					t.Errorf("%s: %q, %v", role, rest, err)
				}
			}
			wantHit(t, g.Get("/"), "first,second")
			wantCalls(t, o, 1)
		})
	}
}

func TestLeaderWhoLeavesBeforeTheHead(t *testing.T) {
	gate := NewGate(t)
	o := NewOrigin(t, gated(gate, Text("x", "Cache-Control", "max-age=60")))
	g := Route(t, o.URL, cached)
	ctx, leave := context.WithCancel(context.Background())
	failed := make(chan error, 1)
	go func() {
		_, err := g.Open(ctx, "GET", "/", nil)
		failed <- err
	}()
	gate.Came(t)
	follower := g.Go("/")
	g.AwaitWaiting(1)
	leave()
	<-failed
	g.Event()
	gate.Open()
	want(t, g.Await(follower), 200, "x")
	wantHit(t, g.Get("/"), "x")
	wantCalls(t, o, 1)
}

func TestWhatIsForOneIsNotShared(t *testing.T) {
	for name, fields := range map[string][]string{
		"private": {"Cache-Control", "private, max-age=60"}, "no-store": {"Cache-Control", "no-store"},
		"cookie": {"Cache-Control", "max-age=60", "Set-Cookie", "session=1"},
	} {
		t.Run(name, func(t *testing.T) {
			gate := NewGate(t)
			o := NewOrigin(t, gated(gate, numbered(fields...)))
			g := Route(t, o.URL, cached)
			const clients = 5
			var replies []<-chan *Response
			for range clients {
				replies = append(replies, g.Go("/"))
			}
			g.AwaitWaiting(clients - 1)
			gate.Open()
			seen := map[string]bool{}
			for _, c := range replies {
				r := g.Await(c)
				if r.Status != 200 || seen[r.Body] || r.Param("collapsed") != "" {
					t.Errorf("%d %q %s", r.Status, r.Body, r.Header["Cache-Status"])
				}
				seen[r.Body] = true
			}
			// From now on they don't queue up behind each other.
			together := NewGate(t)
			o.Answer(gated(together, numbered(fields...)))
			a, b := g.Go("/"), g.Go("/")
			together.Came(t)
			together.Came(t)
			together.Open()
			g.Await(a)
			g.Await(b)
		})
	}
}

func TestOneCallPerVariant(t *testing.T) {
	const each, kinds = 10, 3
	gate := NewGate(t)
	o := NewOrigin(t, gated(gate, func(w http.ResponseWriter, r *http.Request) {
		Text("for "+r.Header.Get("X-Kind"), "Cache-Control", "max-age=60", "Vary", "X-Kind")(w, r)
	}))
	g := Route(t, o.URL, cached)
	replies := map[<-chan *Response]string{}
	for i := range each * kinds {
		kind := fmt.Sprint(i % kinds)
		replies[g.Go("/", "X-Kind", kind)] = "for " + kind
	}
	g.AwaitWaiting(each*kinds - 1)
	gate.Open()
	for c, body := range replies {
		want(t, g.Await(c), 200, body)
	}
	wantCalls(t, o, kinds)
}

func TestWaitersAreCapped(t *testing.T) {
	gate := NewGate(t)
	o := NewOrigin(t, gated(gate, Text("x", "Cache-Control", "max-age=60")))
	g := Route(t, o.URL, cached+"\ncoalesce: {max_waiters: 2}")
	var replies []<-chan *Response
	for i := range 3 {
		replies = append(replies, g.Go("/"))
		if i == 0 {
			gate.Came(t)
		}
	}
	g.AwaitWaiting(2)
	if r := g.Get("/"); r.Status != 503 || r.Header.Get("Retry-After") != "1" || r.Param("detail") != "overload" {
		t.Errorf("one too many: %d %v", r.Status, r.Header)
	}
	gate.Open()
	for _, c := range replies {
		want(t, g.Await(c), 200, "x")
	}
}

func TestCappedWaitersGetStale(t *testing.T) {
	gate := NewGate(t)
	o := NewOrigin(t, Text("old", "Cache-Control", "max-age=60, stale-if-error=100"))
	g := Route(t, o.URL, cached+"\ncoalesce: {max_waiters: 1}")
	g.Get("/")
	g.Clock.Advance(70 * time.Second)
	o.Answer(gated(gate, Text("new", "Cache-Control", "max-age=60")))
	leader := g.Go("/")
	gate.Came(t)
	follower := g.Go("/")
	g.AwaitWaiting(1)
	r := g.Get("/")
	wantHit(t, r, "old")
	if r.Param("detail") != "overload" {
		t.Errorf("%s", r.Header["Cache-Status"])
	}
	gate.Open()
	want(t, g.Await(leader), 200, "new")
	want(t, g.Await(follower), 200, "new")
}

func TestWaitThatIsTooLongGoesAlone(t *testing.T) {
	gate := NewGate(t)
	o := NewOrigin(t, gated(gate, Text("x", "Cache-Control", "max-age=60")))
	g := Route(t, o.URL, cached+"\ncoalesce: {wait: 20ms}")
	leader := g.Go("/")
	gate.Came(t)
	follower := g.Go("/")
	gate.Came(t) // asks for itself
	gate.Open()
	want(t, g.Await(leader), 200, "x")
	want(t, g.Await(follower), 200, "x")
	wantCalls(t, o, 2)
}

func TestFailureIsShared(t *testing.T) {
	gate := NewGate(t)
	o := NewOrigin(t, func(http.ResponseWriter, *http.Request) { gate.Wait(); panic(http.ErrAbortHandler) })
	g := Route(t, o.URL, cached)
	var replies []<-chan *Response
	for range 20 {
		replies = append(replies, g.Go("/"))
	}
	g.AwaitWaiting(19)
	gate.Open()
	for _, c := range replies {
		if r := g.Await(c); r.Status != 502 || !strings.Contains(r.Header.Get("Proxy-Status"), "error=") {
			t.Errorf("%d %v", r.Status, r.Header)
		}
	}
	wantCalls(t, o, 1)
}

func TestTimeoutIsShared(t *testing.T) {
	gate := NewGate(t)
	o := NewOrigin(t, func(http.ResponseWriter, *http.Request) { gate.Wait() })
	g := Start(t, "upstreams:\n  origin: {targets: ["+o.URL+"], timeouts: {first_byte: 300ms}}\n"+
		"routes:\n  - name: all\n    match: {path: /*}\n    upstream: origin\n    cache: {enabled: true}\n")
	var replies []<-chan *Response
	for range 10 {
		replies = append(replies, g.Go("/"))
	}
	g.AwaitWaiting(9)
	for _, c := range replies {
		if r := g.Await(c); r.Status != 504 {
			t.Errorf("%d %v", r.Status, r.Header)
		}
	}
	wantCalls(t, o, 1)
	gate.Open()
}

func TestBodyThatBreaksOff(t *testing.T) {
	for name, fields := range map[string][]string{"chunked": nil, "with a length": {"Content-Length", "12"}} {
		t.Run(name, func(t *testing.T) {
			gate := NewGate(t)
			o := NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
				Text("first,", append([]string{"Cache-Control", "max-age=60"}, fields...)...)(w, r)
				w.(http.Flusher).Flush()
				gate.Wait()
				panic(http.ErrAbortHandler)
			})
			g := Route(t, o.URL, cached)
			leader, follower := open(t, g, "/"), open(t, g, "/")
			readSome(t, leader.Body, 6)
			readSome(t, follower.Body, 6)
			gate.Open()
			for _, r := range []*http.Response{leader, follower} {
				if rest, err := io.ReadAll(r.Body); err == nil {
					t.Errorf("a body that broke off looks whole, with the rest %q", rest)
				}
			}
			o.Answer(Text("whole", "Cache-Control", "max-age=60"))
			want(t, g.Get("/"), 200, "whole")
		})
	}
}

// rawOrigin answers each connection's first request with the given bytes and closes it.
func rawOrigin(t *testing.T, answer string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Read(make([]byte, 4096))
			io.WriteString(conn, answer)
			conn.Close()
		}
	}()
	return "http://" + l.Addr().String()
}

func TestTruncatedIsNeverStored(t *testing.T) {
	for name, answer := range map[string]string{
		"length": "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\nhello",
		"chunk":  "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
	} {
		g := Route(t, rawOrigin(t, answer), cached)
		for range 2 {
			if r := g.Get("/"); r.Err == nil || r.Hit() {
				t.Errorf("%s: %q passed for whole", name, r.Body)
			}
		}
	}
}

func TestFollowersOfOtherRangesStayApart(t *testing.T) {
	gate := NewGate(t)
	o := NewOrigin(t, gated(gate, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"1"`)
		w.Header().Set("Cache-Control", "max-age=60")
		http.ServeContent(w, r, "x.txt", time.Time{}, strings.NewReader("0123456789"))
	}))
	g := Route(t, o.URL, cached)
	a := g.Go("/", "Range", "bytes=0-3")
	b := g.Go("/", "Range", "bytes=4-7")
	c := g.Go("/", "Range", "bytes=0-3", "If-Range", `"2"`)
	for range 3 {
		gate.Came(t)
	}
	gate.Open()
	want(t, g.Await(a), 206, "0123")
	want(t, g.Await(b), 206, "4567")
	want(t, g.Await(c), 200, "0123456789")
}
