package field

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/penstock/penstock/test/load/program"
)

// TestClientsThatStandStillCostOthersNothing: more clients than the pool has places do something and stop, and an ordinary client beside them is answered
// as always.
func TestClientsThatStandStillCostOthersNothing(t *testing.T) {
	clients, pool, limit := 30, "pool: {max: 10}", ""
	if *fullSize {
		clients, pool = 600, ""
	}
	h1 := func(text string) func(*testing.T, string, int) {
		return func(t *testing.T, addr string, n int) {
			each(n, func(int) { dialClient(t, addr).send(text) })
		}
	}
	h2 := func(method, path string, ends bool, fields ...string) func(*testing.T, string, int) {
		return func(t *testing.T, addr string, n int) {
			each(3, func(int) {
				f := dialH2(t, addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
				for range n / 3 {
					f.open(method, path, ends, fields...)
				}
			})
		}
	}
	answered := func(text, want string) func(*testing.T, string, int) {
		return func(t *testing.T, addr string, n int) {
			each(n, func(int) {
				c := dialClient(t, addr)
				c.send(text)
				c.SetReadDeadline(time.Now().Add(program.Patience))
				if line, err := c.br.ReadString('\n'); !strings.Contains(line, want) {
					t.Errorf("%q %v", line, err)
				}
			})
		}
	}
	const host = "Host: a.example"
	tests := []struct {
		name  string
		still func(t *testing.T, addr string, n int)
		h2c   bool   // the upstream's protocol
		auto  string // what an origin speaks with which the protocol is agreed on
		no    bool   // none of them takes a connection to the origin
	}{
		{name: "readers of a large answer that do not read", still: h1(joined("GET /big HTTP/1.1", host))},
		{name: "readers of a large answer without a length", still: h1(joined("GET /big?chunked=1 HTTP/1.1", host))},
		{name: "streams without a window, on three connections", still: h2("GET", "/big", true)},
		{name: "streams without a window, over HTTP/2 to the origin", still: h2("GET", "/big", true), h2c: true},
		{name: "readers of a large answer, over TLS and HTTP/2 to the origin", still: h1(joined("GET /big HTTP/1.1", host)), auto: "tls h2"},
		{name: "readers of a large answer, over TLS and HTTP/1.1 to the origin", still: h1(joined("GET /big HTTP/1.1", host)), auto: "tls h1"},
		{name: "uploads whose body never comes", still: h1(joined("POST /upload HTTP/1.1", host, "Content-Length: 1000")), no: true},
		{name: "large uploads whose body never comes", still: h1(joined("POST /upload HTTP/1.1", host, "Content-Length: 10000000")), no: true},
		{name: "chunked uploads whose first chunk never comes", still: h1(joined("PUT /upload HTTP/1.1", host, "Transfer-Encoding: chunked")), no: true},
		{name: "uploads of which half comes", still: h1(joined("POST /upload HTTP/1.1", host, "Content-Length: 1000") + strings.Repeat("x", 500)), no: true},
		{name: "large uploads of which some comes", still: h1(joined("POST /upload HTTP/1.1", host, "Content-Length: 10000000") + strings.Repeat("x", 500))},
		{name: "uploads that expect 100 and send nothing then", still: answered(joined("POST /upload HTTP/1.1", host, "Content-Length: 1000", "Expect: 100-continue"), "100")},
		{name: "streams with a length whose body never comes", still: h2("POST", "/upload", false, "content-length", "1000"), no: true},
		{name: "streams with a length, over HTTP/2 to the origin", still: h2("POST", "/upload", false, "content-length", "1000"), h2c: true, no: true},
		{name: "streams without a length whose body never comes", still: h2("POST", "/upload", false)},
		{name: "gRPC calls whose first message never comes", still: h2("POST", "/upload", false, "content-type", "application/grpc", "te", "trailers")},
		{name: "idle WebSockets", still: answered(joined("GET /ws HTTP/1.1", host, "Connection: Upgrade", "Upgrade: websocket"), "101")},
		{name: "silent event streams", still: answered(joined("GET /stream?type=text/event-stream HTTP/1.1", host), "200")},
		{name: "silent pictures of a camera", still: answered(joined("GET /stream?type=multipart/x-mixed-replace%3Bboundary=b HTTP/1.1", host), "200")},
		{name: "silent gRPC streams", still: answered(joined("GET /stream?type=application/grpc%2Bproto HTTP/1.1", host), "200")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := newSlotOrigin(t, tt.h2c)
			upstream := ""
			if tt.h2c {
				upstream = ", protocol: h2c"
			}
			if tt.auto != "" {
				o = startSlotOrigin(t, tt.auto)
				upstream = ", protocol: auto, tls: {insecure_skip_verify: true}"
			}
			if pool != "" {
				upstream += ", " + pool
			}
			g := slotGateway(t, o, limit, upstream, "")
			addr := g.Public()
			before := usual(t, addr)
			conns := o.conns.Load()
			tt.still(t, addr, clients)
			o.awaitStill(t)
			beside := usual(t, addr)
			t.Logf("alone %v, beside %d clients that stand still %v", before, clients, beside)
			if beside > 2*before+500*time.Millisecond {
				t.Errorf("beside clients that stand still a request takes %v, alone %v", beside, before)
			}
			if more := o.conns.Load() - conns; tt.no && (more > 5 || o.bodies.Load() > 0) {
				t.Errorf("%d connections to the origin, %d requests with a body", more, o.bodies.Load())
			}
		})
	}
}

// TestClientsThatSendBitByBitCostOthersNothing: none of them ever pauses for long, and yet their calls hardly do anything but wait for them.
func TestClientsThatSendBitByBitCostOthersNothing(t *testing.T) {
	const host = "Host: a.example"
	chunked := joined("POST /upload HTTP/1.1", host, "Transfer-Encoding: chunked") + "1\r\na\r\n"
	sized := joined("POST /upload HTTP/1.1", host, "Content-Length: 10000000") + "a"
	expecting := joined("POST /upload HTTP/1.1", host, "Content-Length: 1000000", "Expect: 100-continue")
	raw := func(head, bit string) func(*testing.T, string) func() error {
		return func(t *testing.T, addr string) func() error {
			c := dialClient(t, addr)
			c.send(head)
			return func() error {
				_, err := io.WriteString(c.Conn, bit)
				return err
			}
		}
	}
	streams := func(fields ...string) func(*testing.T, string) func() error {
		return func(t *testing.T, addr string) func() error {
			f := dialH2(t, addr)
			id := f.open("POST", "/upload", false, fields...)
			return func() error { return f.WriteData(id, false, []byte("a")) }
		}
	}
	tests := []struct {
		name  string
		begin func(*testing.T, string) (send func() error)
		every time.Duration
		h2c   bool // the upstream's protocol
	}{
		{name: "small chunks", begin: raw(chunked, "1\r\na\r\n"), every: 40 * time.Millisecond},
		{name: "small chunks in quick succession", begin: raw(chunked, "1\r\na\r\n"), every: 15 * time.Millisecond},
		{name: "bytes of a large body", begin: raw(sized, "a"), every: 40 * time.Millisecond},
		{name: "bytes after 100", begin: raw(expecting, "a"), every: 40 * time.Millisecond},
		{name: "bytes, over HTTP/2 to the origin", begin: raw(sized, "a"), every: 40 * time.Millisecond, h2c: true},
		{name: "small frames", begin: streams(), every: 40 * time.Millisecond},
		{name: "small frames of a body with a length", begin: streams("content-length", "1000000"), every: 40 * time.Millisecond},
		{name: "small frames, over HTTP/2 to the origin", begin: streams(), every: 40 * time.Millisecond, h2c: true},
		{name: "gRPC messages in small frames", begin: streams("content-type", "application/grpc", "te", "trailers"), every: 40 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := newSlotOrigin(t, tt.h2c)
			upstream := ", pool: {max: 4}"
			if tt.h2c {
				upstream += ", protocol: h2c"
			}
			addr := slotGateway(t, o, "", upstream, "").Public()
			before := usual(t, addr)
			for range 12 {
				send := tt.begin(t, addr)
				done := make(chan struct{})
				ended := make(chan struct{})
				t.Cleanup(func() { close(done); <-ended })
				go func() {
					defer close(ended)
					for tick := time.NewTicker(tt.every); ; {
						select {
						case <-done:
							tick.Stop()
							return
						case <-tick.C:
							if send() != nil {
								return
							}
						}
					}
				}()
			}
			eventually(t, "the uploads fill the pool", func() bool { return o.bodies.Load() >= 4 })
			if beside := usual(t, addr); beside > 2*before+500*time.Millisecond {
				t.Errorf("beside clients that send bit by bit a request takes %v, alone %v", beside, before)
			}
		})
	}
}

// TestClientThatDoesNotReadIsClosed over both protocols, from the origin and from memory. One that reads slowly has all of its answer.
func TestClientThatDoesNotReadIsClosed(t *testing.T) {
	o := newSlotOrigin(t, false)
	g := slotGateway(t, o, "  timeouts: {write_stall: 3s}\ncache: {memory: {size: 512MiB, max_object: 64MiB}}", "", ", cache: {enabled: true}")
	addr := g.Public()
	const stored = "/big?size=33554432&cc=max-age=600"
	if resp, err := http.Get("http://" + addr + stored); err != nil {
		t.Fatal(err)
	} else if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"from the origin": "/big?cc=no-store", "from the origin without a length": "/big?cc=no-store&chunked=1", "too large to be stored": "/big?cc=max-age=600", "from memory": stored,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := dialClient(t, addr)
			c.send(joined("GET "+path+" HTTP/1.1", "Host: a.example"))
			time.Sleep(5 * time.Second)
			c.SetReadDeadline(time.Now().Add(program.Patience))
			n, err := io.Copy(io.Discard, c.br)
			if n >= 33554432 || deadlinePassed(err) {
				t.Errorf("%d bytes, %v", n, err)
			}
		})
		t.Run(name+" over HTTP/2", func(t *testing.T) {
			t.Parallel()
			f := dialH2(t, addr)
			id := f.open("GET", path, true)
			err := f.await(program.Patience, func(frame http2.Frame) bool {
				reset, ok := frame.(*http2.RSTStreamFrame)
				return ok && reset.StreamID == id
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("a small answer without a window", func(t *testing.T) {
		t.Parallel()
		f := dialH2(t, addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		id := f.open("GET", "/plain", true)
		if err := f.await(program.Patience, func(frame http2.Frame) bool {
			reset, ok := frame.(*http2.RSTStreamFrame)
			return ok && reset.StreamID == id
		}); err != nil {
			t.Error(err)
		}
	})
	t.Run("a slow reader has all", func(t *testing.T) {
		t.Parallel()
		c := dialQuick(t, addr)
		c.send(joined("GET /big?cc=no-store&size=8000000 HTTP/1.1", "Host: a.example"))
		c.SetReadDeadline(time.Now().Add(3 * program.Patience))
		resp, err := http.ReadResponse(c.br, nil)
		if err != nil {
			t.Fatal(err)
		}
		var n int64
		for err == nil {
			var k int64
			k, err = io.CopyN(io.Discard, resp.Body, 400_000)
			n += k
			time.Sleep(300 * time.Millisecond)
		}
		if n != 8_000_000 {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
	t.Run("a stream with a small window has all", func(t *testing.T) {
		t.Parallel()
		f := dialH2(t, addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 8000})
		id := f.open("GET", "/big?cc=no-store&size=160000", true)
		n, whole := 0, false
		err := f.await(3*program.Patience, func(frame http2.Frame) bool {
			d, ok := frame.(*http2.DataFrame)
			if !ok {
				return false
			}
			n += len(d.Data())
			whole = d.StreamEnded()
			if n%8000 == 0 && !whole {
				time.Sleep(300 * time.Millisecond)
				_ = f.WriteWindowUpdate(id, 8000)
				_ = f.WriteWindowUpdate(0, 8000)
			}
			return whole
		})
		if n != 160_000 || !whole {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}

// TestTotalEndsACallWhoseClientDoesNotRead, whatever server.timeouts says.
func TestTotalEndsACallWhoseClientDoesNotRead(t *testing.T) {
	for name, protocol := range map[string]string{"h1": "", "h2c": ", protocol: h2c"} {
		t.Run(name, func(t *testing.T) {
			o := newSlotOrigin(t, protocol != "")
			g := slotGateway(t, o, "  timeouts: {write_stall: 0s}", ", timeouts: {total: 1s}"+protocol, "")
			dialClient(t, g.Public()).send(joined("GET /big HTTP/1.1", "Host: a.example"))
			eventually(t, "the origin sees the end of its call", func() bool { return o.ended.Load() == 1 })
		})
	}
}

// TestSilentUploadIsEnded after read_stall, wherever it stops, and one that goes on slowly is not.
func TestSilentUploadIsEnded(t *testing.T) {
	o := newSlotOrigin(t, false)
	g := slotGateway(t, o, "  timeouts: {read_stall: 2s}", "", "")
	addr := g.Public()
	const host = "Host: a.example"
	for name, text := range map[string]string{
		"before the body":                             joined("POST /upload HTTP/1.1", host, "Content-Length: 10"),
		"within a small body":                         joined("POST /upload HTTP/1.1", host, "Content-Length: 10") + "12345",
		"within a large body":                         joined("POST /upload HTTP/1.1", host, "Content-Length: 1000000") + "12345",
		"before the first chunk":                      joined("POST /upload HTTP/1.1", host, "Transfer-Encoding: chunked"),
		"between chunks":                              joined("POST /upload HTTP/1.1", host, "Transfer-Encoding: chunked") + "5\r\n12345\r\n",
		"before a body that the origin does not read": joined("POST /plain HTTP/1.1", host, "Content-Length: 10"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := dialClient(t, addr)
			c.send(text)
			resp, err := c.response(program.Patience)
			if err != nil || resp.StatusCode != http.StatusRequestTimeout {
				t.Fatalf("%v, %v", resp, err)
			}
			if _, err := io.Copy(io.Discard, c.br); deadlinePassed(err) {
				t.Error("the connection stays open")
			}
		})
	}
	t.Run("over HTTP/2", func(t *testing.T) {
		t.Parallel()
		f := dialH2(t, addr)
		id := f.open("POST", "/upload", false, "content-length", "1000000")
		if err := f.WriteData(id, false, []byte("12345")); err != nil {
			t.Fatal(err)
		}
		if err := f.await(program.Patience, func(frame http2.Frame) bool {
			h, ok := frame.(*http2.MetaHeadersFrame)
			return ok && h.PseudoValue("status") == "408"
		}); err != nil {
			t.Error(err)
		}
	})
	t.Run("a slow one passes", func(t *testing.T) {
		t.Parallel()
		body := trickle(t.Context(), 20, strings.Repeat("x", 5000), 250*time.Millisecond)
		resp, err := http.Post("http://"+addr+"/upload", "", body)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(resp.Body); string(got) != "100000" {
			t.Errorf("%s %q", resp.Status, got)
		}
	})
}

// TestTransfersThatMakeProgressAreNotCut, however long they take. At full size the settings are the defaults.
func TestTransfersThatMakeProgressAreNotCut(t *testing.T) {
	lasts, every, server, upstream := 6*time.Second, 500*time.Millisecond, "  timeouts: {read_stall: 3s, write_stall: 3s}", ", timeouts: {idle: 3s, first_byte: 3s}"
	if *fullSize {
		lasts, every, server, upstream = 90*time.Second, time.Second, "", ""
	}
	o := newSlotOrigin(t, false)
	addr := slotGateway(t, o, server, upstream, ", cache: {enabled: true}").Public()
	bounded := func(t *testing.T) context.Context { // for each test its own: not all of them begin at once
		ctx, cancel := context.WithTimeout(t.Context(), lasts+3*program.Patience)
		t.Cleanup(cancel)
		return ctx
	}
	pieces := int(lasts / every)
	get := func(t *testing.T, path string) (string, time.Duration) {
		t.Helper()
		begun := time.Now()
		req, _ := http.NewRequestWithContext(bounded(t), "GET", "http://"+addr+path, nil)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Errorf("after %v and %d bytes: %v", time.Since(begun), len(body), err)
		}
		return string(body), time.Since(begun)
	}
	t.Run("an event stream", func(t *testing.T) {
		t.Parallel()
		body, took := get(t, fmt.Sprintf("/stream?type=text/event-stream&every=%v&for=%v", every, lasts))
		if strings.Count(body, "data: next") != pieces || took < lasts {
			t.Errorf("%d events in %v", strings.Count(body, "data: next"), took)
		}
	})
	t.Run("an event stream that is silent for longer than idle", func(t *testing.T) {
		t.Parallel()
		if body, _ := get(t, fmt.Sprintf("/stream?type=text/event-stream&every=%v&for=%v", lasts, lasts)); !strings.Contains(body, "data: next") {
			t.Errorf("%q", body)
		}
	})
	t.Run("a download that trickles from the origin", func(t *testing.T) {
		t.Parallel()
		if body, _ := get(t, fmt.Sprintf("/stream?type=text/plain&every=%v&for=%v", every, lasts)); strings.Count(body, "data: next") != pieces {
			t.Errorf("%d pieces", strings.Count(body, "data: next"))
		}
	})
	t.Run("a download by a client that reads 10 KB a second", func(t *testing.T) {
		t.Parallel()
		size := int(lasts/time.Second) * 10_000
		c := dialClient(t, addr)
		c.send(joined(fmt.Sprintf("GET /big?size=%d HTTP/1.1", size), "Host: a.example"))
		c.SetReadDeadline(time.Now().Add(lasts + 3*program.Patience))
		resp, err := http.ReadResponse(c.br, nil)
		if err != nil {
			t.Fatal(err)
		}
		n, second := 0, time.NewTicker(time.Second)
		defer second.Stop()
		for buf := make([]byte, 10_000); err == nil; <-second.C {
			var k int
			k, err = io.ReadFull(resp.Body, buf)
			n += k
		}
		if n != size {
			t.Errorf("%d of %d bytes: %v", n, size, err)
		}
	})
	t.Run("an upload", func(t *testing.T) {
		t.Parallel()
		ctx := bounded(t)
		req, _ := http.NewRequestWithContext(ctx, "POST", "http://"+addr+"/upload", trickle(ctx, pieces, strings.Repeat("x", 10_000), every))
		req.ContentLength = int64(pieces) * 10_000
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(resp.Body); string(got) != fmt.Sprint(req.ContentLength) {
			t.Errorf("%s %q", resp.Status, got)
		}
	})
}

// TestRouteTimeoutsOverrideTheUpstreams in both directions.
func TestRouteTimeoutsOverrideTheUpstreams(t *testing.T) {
	for _, tt := range []struct {
		name, upstream, route, path string
		want                        int
	}{
		{"a route is more patient", "first_byte: 200ms", "first_byte: 20s", "/late?after=1s", 200},
		{"a route is less patient", "first_byte: 20s", "first_byte: 200ms", "/late?after=10s", 504},
		{"a route has no bound", "first_byte: 200ms", "first_byte: 0s", "/late?after=1s", 200},
		{"the upstream's holds", "first_byte: 200ms", "idle: 5s", "/late?after=10s", 504},
		{"total of a route", "total: 20s", "total: 300ms", "/late?after=10s", 504},
		{"total of a route is off", "total: 300ms", "total: 0s", "/late?after=1s", 200},
	} {
		for _, protocol := range []string{"h1", "h2c"} {
			t.Run(tt.name+" over "+protocol, func(t *testing.T) {
				t.Parallel()
				o := newSlotOrigin(t, protocol == "h2c")
				g := slotGateway(t, o, "", ", protocol: "+protocol+", timeouts: {"+tt.upstream+"}", ", timeouts: {"+tt.route+"}")
				resp, err := http.Get("http://" + g.Public() + tt.path)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != tt.want {
					t.Errorf("%s, want %d", resp.Status, tt.want)
				}
			})
		}
	}
}

// TestFullPoolSaysWhenToComeAgain: to requests and to upgrades, and to the operator once.
func TestFullPoolSaysWhenToComeAgain(t *testing.T) {
	o := newSlotOrigin(t, false)
	g := slotGateway(t, o, "", ", pool: {max: 2, wait: 100ms, upgraded: 2}", "")
	addr := g.Public()
	ask := func(text string) *client {
		c := dialClient(t, addr)
		c.send(text)
		return c
	}
	refused := func(what string, c *client) {
		t.Helper()
		resp, err := c.response(program.Patience)
		if err != nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %v, %v", what, resp, err)
		}
	}
	upgrade := joined("GET /ws HTTP/1.1", "Host: a.example", "Connection: Upgrade", "Upgrade: websocket")
	for range 2 {
		if line, err := ask(upgrade).br.ReadString('\n'); !strings.Contains(line, "101") {
			t.Fatalf("%q %v", line, err)
		}
	}
	conns := o.conns.Load()
	refused("an upgrade above pool.upgraded", ask(upgrade))
	if o.conns.Load() != conns {
		t.Error("the origin was asked for it")
	}
	usual(t, addr)
	for range 2 {
		ask(joined("GET /late?after=1h HTTP/1.1", "Host: a.example"))
	}
	eventually(t, "the pool is full", func() bool {
		resp, err := ask(joined("GET /plain HTTP/1.1", "Host: a.example")).response(program.Patience)
		return err == nil && resp.StatusCode == http.StatusServiceUnavailable
	})
	for range 5 {
		refused("a request above pool.max", ask(joined("GET /plain HTTP/1.1", "Host: a.example")))
	}
	if n := g.Count(`level=WARN.*upstream.*pool\.max`); n != 1 {
		t.Errorf("%d lines in the log", n)
	}
}

// TestNewClientTakesThePlaceOfAnIdleOne when server.limits.connections is reached.
func TestNewClientTakesThePlaceOfAnIdleOne(t *testing.T) {
	const request = "GET /plain HTTP/1.1\r\nHost: a.example\r\n\r\n"
	const posted = "POST /plain HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
	asked := func(text string) func(*testing.T, string) {
		return func(t *testing.T, addr string) {
			c := dialClient(t, addr)
			c.send(text)
			if text != "" && strings.HasSuffix(text, "\r\n\r\n") {
				if resp, err := c.response(program.Patience); err != nil {
					t.Errorf("%v %v", resp, err)
				}
			}
		}
	}
	begun := func(framing, text string) func(*testing.T, string) {
		return func(t *testing.T, addr string) {
			c := dialClient(t, addr)
			c.send(joined("POST /upload HTTP/1.1", "Host: a.example", framing, "Expect: 100-continue"))
			c.SetReadDeadline(time.Now().Add(program.Patience))
			if line, err := c.br.ReadString('\n'); !strings.Contains(line, "100") {
				t.Errorf("%q %v", line, err)
			}
			c.send(text)
		}
	}
	for name, idle := range map[string]func(*testing.T, string){
		"silent from the beginning":           asked(""),
		"silent in the middle of a head":      asked("GET / HT"),
		"kept alive after a miss":             asked(request),
		"kept alive after a hit":              asked(request + request),
		"kept alive after HTTP/1.0":           asked("GET /plain HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
		"kept alive after an odd request":     asked("OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n"),
		"HTTP/2 without a stream":             func(t *testing.T, addr string) { dialH2(t, addr) },
		"closed by the gateway after a chunk": asked(posted),
		"silent in the middle of a body":      begun("Content-Length: 1000", "x"),
		"silent before a body":                begun("Content-Length: 1000", ""),
		"silent between chunks":               begun("Transfer-Encoding: chunked", "1\r\nx\r\n"),
		"silent in the middle of a stream's body": func(t *testing.T, addr string) {
			f := dialH2(t, addr)
			f.open("POST", "/upload", false, "content-length", "1000")
			f.opened(t)
		},
		"HTTP/2 without a window": func(t *testing.T, addr string) {
			f := dialH2(t, addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
			f.open("GET", "/big", true)
			f.opened(t)
		},
		"HTTP/2 without a window for a small answer": func(t *testing.T, addr string) {
			f := dialH2(t, addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
			f.open("GET", "/plain", true)
			f.opened(t)
		},
		"HTTP/2 after a response": func(t *testing.T, addr string) {
			f := dialH2(t, addr)
			f.open("GET", "/plain", true)
			if err := f.await(program.Patience, func(frame http2.Frame) bool { d, ok := frame.(*http2.DataFrame); return ok && d.StreamEnded() }); err != nil {
				t.Error(err)
			}
		},
	} {
		for _, wire := range []string{"true", "false"} {
			if wire == "false" && strings.Contains(name, "stream's body") || wire == "false" && strings.Contains(name, "without a window") {
				continue // net/http alone knows of its streams
			}
			t.Run(name+", wire "+wire, func(t *testing.T) {
				t.Parallel()
				o := newSlotOrigin(t, false)
				addr := startSlotGateway(t, o, wire == "true", "  limits: {connections: 5}\n  timeouts: {read_header: 1m, read_stall: 10m, write_stall: 10m, idle: 1h}", "", ", cache: {enabled: true, ttl: {default: 1m}}").Public()
				for range 5 {
					idle(t, addr)
				}
				usual(t, addr)
			})
		}
	}
}

// TestEvictionKeepsUpWithNewClients: HTTP/2 connections, which are told before they are closed, make room as quickly as others come.
func TestEvictionKeepsUpWithNewClients(t *testing.T) {
	clients := 60
	if *fullSize {
		clients = 600
	}
	o := newSlotOrigin(t, false)
	addr := slotGateway(t, o, fmt.Sprintf("  limits: {connections: %d}", clients), "", "").Public()
	for range clients {
		dialH2(t, addr)
	}
	begun := time.Now()
	each(clients, func(int) {
		c := dialClient(t, addr) // keeps its place
		c.send(joined("GET /plain HTTP/1.1", "Host: a.example"))
		if resp, err := c.response(3 * program.Patience); err != nil {
			t.Errorf("%v %v", resp, err)
		}
	})
	if took := time.Since(begun); took > time.Duration(clients)*time.Second/4 {
		t.Errorf("%d new clients were answered after %v", clients, took)
	}
}

// TestClientsThatMoveKeepTheirPlaces when server.limits.connections is reached, however slow they are.
func TestClientsThatMoveKeepTheirPlaces(t *testing.T) {
	for _, wire := range []bool{true, false} {
		t.Run(fmt.Sprintf("wire %t", wire), func(t *testing.T) {
			t.Parallel()
			o := newSlotOrigin(t, false)
			addr := startSlotGateway(t, o, wire, "  limits: {connections: 4}", "", "").Public()
			body := func() io.Reader { return trickle(t.Context(), 15, strings.Repeat("x", 100), 250*time.Millisecond) }
			h2 := &http.Transport{Protocols: new(http.Protocols)}
			h2.Protocols.SetUnencryptedHTTP2(true)
			t.Cleanup(h2.CloseIdleConnections)
			var all sync.WaitGroup
			for i := range 4 {
				c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
				if i%2 == 1 {
					c.Transport = h2
				}
				all.Go(func() {
					req, _ := http.NewRequestWithContext(t.Context(), "POST", "http://"+addr+"/upload", body())
					if i == 2 {
						req.ContentLength = 1500
					}
					resp, err := c.Do(req)
					if err != nil {
						t.Error(err)
						return
					}
					defer resp.Body.Close()
					if got, err := io.ReadAll(resp.Body); string(got) != "1500" {
						t.Errorf("%s %q %v", resp.Status, got, err)
					}
				})
			}
			eventually(t, "the uploads are under way", func() bool { return o.bodies.Load() >= 3 })
			usual(t, addr)
			all.Wait()
		})
	}
}
