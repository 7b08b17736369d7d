package field

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/penstock/penstock/test/load/program"
)

// fullSize has the tests of slots run with the gateway's default settings, as many clients as it takes to fill them, and transfers of 90 seconds.
var fullSize = flag.Bool("full", false, "run the tests of slots and time with default settings and at full size")

// slotOrigin is an origin for clients that stand still.
type slotOrigin struct {
	*httptest.Server
	conns  atomic.Int64 // connections that were opened
	bodies atomic.Int64 // requests with a body that have come
	ended  atomic.Int64 // large answers that have ended
	pieces atomic.Int64 // of large answers that were written
}

func newSlotOrigin(t *testing.T, h2c bool) *slotOrigin {
	if h2c {
		return startSlotOrigin(t, "h2c")
	}
	return startSlotOrigin(t, "h1")
}

// startSlotOrigin starts an origin that speaks h1, h2c, or over TLS h1 or h2: "tls h1", "tls h2".
func startSlotOrigin(t *testing.T, speaks string) *slotOrigin {
	o := &slotOrigin{}
	mux := http.NewServeMux()
	mux.HandleFunc("/plain", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "plain") })
	mux.HandleFunc("/big", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", r.URL.Query().Get("cc"))
		size := 200 << 20
		fmt.Sscan(r.URL.Query().Get("size"), &size)
		w.Header().Set("Content-Length", fmt.Sprint(size))
		if r.URL.Query().Get("chunked") != "" {
			w.Header().Del("Content-Length")
		}
		defer o.ended.Add(1)
		piece := bytes.Repeat([]byte("0123456789abcdef"), 4<<10)
		for ; size > 0; size -= len(piece) {
			if _, err := w.Write(piece[:min(size, len(piece))]); err != nil {
				return
			}
			o.pieces.Add(1)
		}
	})
	mux.HandleFunc("/upload", func(w http.ResponseWriter, r *http.Request) {
		o.bodies.Add(1)
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		fmt.Fprint(w, n)
	})
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		io.Copy(c, rw)
	})
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", r.URL.Query().Get("type"))
		io.WriteString(w, "data: first\n\n")
		http.NewResponseController(w).Flush()
		every, _ := time.ParseDuration(r.URL.Query().Get("every"))
		left, _ := time.ParseDuration(r.URL.Query().Get("for"))
		if left == 0 {
			<-r.Context().Done()
			return
		}
		for ; left > 0; left -= every {
			select {
			case <-r.Context().Done():
				return
			case <-time.After(every):
			}
			io.WriteString(w, "data: next\n\n")
			http.NewResponseController(w).Flush()
		}
	})
	mux.HandleFunc("/late", func(w http.ResponseWriter, r *http.Request) {
		after, _ := time.ParseDuration(r.URL.Query().Get("after"))
		select {
		case <-r.Context().Done():
		case <-time.After(after):
			io.WriteString(w, "late")
		}
	})
	o.Server = httptest.NewUnstartedServer(mux)
	o.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			o.conns.Add(1)
		}
	}
	o.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 10_000}
	o.Config.Protocols = new(http.Protocols)
	o.Config.Protocols.SetHTTP1(true)
	o.Config.Protocols.SetUnencryptedHTTP2(speaks == "h2c")
	if o.EnableHTTP2 = speaks == "tls h2"; strings.HasPrefix(speaks, "tls") {
		o.Config.Protocols.SetHTTP2(o.EnableHTTP2)
		o.StartTLS()
	} else {
		o.Start()
	}
	t.Cleanup(func() {
		o.CloseClientConnections()
		o.Close()
	})
	return o
}

// awaitStill waits until large answers are no longer written: what there is of buffers is full.
func (o *slotOrigin) awaitStill(t *testing.T) {
	t.Helper()
	last, since := int64(-1), time.Now()
	eventually(t, "the large answers stand still", func() bool {
		if n := o.pieces.Load(); n != last {
			last, since = n, time.Now()
		}
		return time.Since(since) > 300*time.Millisecond
	})
}

// slotGateway is a gateway in front of o. Each of the texts may be empty: keys of the server, of the upstream, and of the route.
func slotGateway(t *testing.T, o *slotOrigin, server, upstream, route string) *program.Process {
	t.Helper()
	return startSlotGateway(t, o, true, server, upstream, route)
}

// startSlotGateway is slotGateway with a choice of what answers hits.
func startSlotGateway(t *testing.T, o *slotOrigin, wire bool, server, upstream, route string) *program.Process {
	t.Helper()
	upgrades := "  - {name: ws, match: {path: /ws}, upstream: origin, upgrade: websocket}\n"
	if strings.Contains(upstream, "protocol: h2c") {
		upgrades = ""
	}
	return gateway.Start(t, fmt.Sprintf(`version: 1
server:
  listen: [{address: "127.0.0.1:0", h2c: true, wire: %t}]
%s
admin: {address: "127.0.0.1:0"}
upstreams:
  origin: {targets: ["%s"]%s}
routes:
%s  - {name: all, match: {path: /*}, upstream: origin%s}
`, wire, server, o.URL, upstream, upgrades, route))
}

// client is a raw connection that ends with the test.
type client struct {
	net.Conn
	t  *testing.T
	br *bufio.Reader
}

// dialClient is a client that takes little at once.
func dialClient(t *testing.T, addr string) *client {
	t.Helper()
	c := dialQuick(t, addr)
	_ = c.Conn.(*net.TCPConn).SetReadBuffer(4096) // where this fails, more is under way
	return c
}

func dialQuick(t *testing.T, addr string) *client {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &client{nc, t, bufio.NewReader(nc)}
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, text); err != nil {
		c.t.Fatal(err)
	}
}

// response reads a response's head and body.
func (c *client) response(within time.Duration) (*http.Response, error) {
	c.SetReadDeadline(time.Now().Add(within))
	resp, err := http.ReadResponse(c.br, nil)
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
	}
	return resp, err
}

// h2Client is a raw HTTP/2 connection.
type h2Client struct {
	*client
	*http2.Framer
	next  uint32
	quiet bool // SETTINGS are not acknowledged: another goroutine writes
}

func dialH2(t *testing.T, addr string, settings ...http2.Setting) *h2Client {
	t.Helper()
	c := dialQuick(t, addr)
	c.send(http2.ClientPreface)
	f := &h2Client{client: c, Framer: http2.NewFramer(c.Conn, c.br), next: 1}
	f.AllowIllegalWrites = true
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := f.WriteSettings(settings...); err != nil {
		t.Fatal(err)
	}
	return f
}

// open opens a stream with a request, and leaves it open unless it ends at once.
func (f *h2Client) open(method, path string, ends bool, fields ...string) uint32 {
	f.t.Helper()
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for i, all := 0, append([]string{":method", method, ":scheme", "http", ":authority", "a.example", ":path", path}, fields...); i < len(all); i += 2 {
		enc.WriteField(hpack.HeaderField{Name: all[i], Value: all[i+1]})
	}
	id := f.next
	f.next += 2
	if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: ends}); err != nil {
		f.t.Fatal(err)
	}
	return id
}

// opened waits until the gateway has seen all streams that were opened: it answers frames in order.
func (f *h2Client) opened(t *testing.T) {
	t.Helper()
	if err := f.WritePing(false, [8]byte{1}); err != nil {
		t.Error(err)
		return
	}
	if err := f.await(program.Patience, func(frame http2.Frame) bool { p, ok := frame.(*http2.PingFrame); return ok && p.IsAck() }); err != nil {
		t.Error(err)
	}
}

// await reads frames until one is wanted.
func (f *h2Client) await(within time.Duration, want func(http2.Frame) bool) error {
	f.SetReadDeadline(time.Now().Add(within))
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return err
		}
		if s, ok := frame.(*http2.SettingsFrame); ok && !s.IsAck() && !f.quiet {
			f.WriteSettingsAck()
		}
		if want(frame) {
			return nil
		}
	}
}

// usual is how long the ordinary client's request takes: the median of some, each on a connection of its own.
func usual(t *testing.T, addr string) time.Duration {
	t.Helper()
	tr := &http.Transport{DisableKeepAlives: true}
	c := &http.Client{Transport: tr, Timeout: program.Patience}
	var took []time.Duration
	for range 15 {
		begun := time.Now()
		resp, err := c.Get("http://" + addr + "/plain")
		if err != nil {
			t.Fatalf("the ordinary client: %v", err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || string(body) != "plain" {
			t.Fatalf("the ordinary client: %s %q %v", resp.Status, body, err)
		}
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// eventually waits for something to become true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(program.Patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// each runs f for some clients at once, and waits for all.
func each(n int, f func(i int)) {
	var wg sync.WaitGroup
	limit := make(chan struct{}, 50)
	for i := range n {
		limit <- struct{}{}
		wg.Go(func() {
			f(i)
			<-limit
		})
	}
	wg.Wait()
}

// trickle is a reader of n bytes that come slowly.
func trickle(ctx context.Context, pieces int, piece string, every time.Duration) io.Reader {
	r, w := io.Pipe()
	go func() {
		for range pieces {
			select {
			case <-ctx.Done():
				w.CloseWithError(ctx.Err())
				return
			case <-time.After(every):
			}
			if _, err := io.WriteString(w, piece); err != nil {
				return
			}
		}
		w.Close()
	}()
	return r
}

func deadlinePassed(err error) bool {
	var slow net.Error
	return errors.As(err, &slow) && slow.Timeout()
}

func joined(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }
