// Package hostile sends the gateway what caches and proxies have been broken with, as bytes over sockets, and looks at the bytes that an
// origin then gets. Each test is named by its row: F framing, K cache keys and poisoning, R resources. What a first client did must not
// reach a second one: nearly every test asks again from another connection.
package hostile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/test/load/program"
)

// patience is how long a test waits for what has to come.
const patience = program.Patience

var gatewayBinary *program.Binary

func TestMain(m *testing.M) { program.Main(m, &gatewayBinary, true) }

// everything is the one route of most tests.
const everything = `  - {name: all, match: {path: "/*"}, upstream: origin, cache: {enabled: true}}`

// gateway is a running gateway in front of an origin.
type gateway struct {
	*program.Process
	t    *testing.T
	addr string
}

// start runs a gateway with the routes given. Each edit is a pair: what to replace in the configuration, and by what.
func start(t *testing.T, o *origin, routes string, edits ...string) *gateway {
	t.Helper()
	config := `version: 1
server:
  listen: [{address: "127.0.0.1:0", h2c: true}]
  trusted_proxies: []
  limits: {body_bytes: 256KiB}
  timeouts: {drain: 2s}
admin: {address: "127.0.0.1:0"}
cache: {memory: {size: 32MiB, max_object: 1MiB}}
upstreams:
  origin: {targets: ["http://ORIGIN"], timeouts: {connect: 5s, first_byte: 10s, idle: 10s, total: 30s}}
routes:
` + routes + "\n"
	config = strings.NewReplacer(append(edits, "ORIGIN", o.addr())...).Replace(config)
	p := gatewayBinary.Start(t, config)
	return &gateway{Process: p, t: t, addr: p.Public()}
}

// origin is a server that speaks bytes and remembers what it was sent.
type origin struct {
	t      *testing.T
	ln     net.Listener
	answer func(c *call)

	mu    sync.Mutex
	raw   []*bytes.Buffer // what came on each connection, understood or not; guarded by mu
	calls []*call
	conns map[net.Conn]bool
}

// call is a request as the origin got it.
type call struct {
	o    *origin
	conn net.Conn
	br   *bufio.Reader
	head string // the exact bytes
	hung bool

	got string // the body, once it is read; guarded by o.mu
}

// serve starts an origin that gives every request to answer. Requests on one connection come one after another.
func serve(t *testing.T, answer func(c *call)) *origin {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &origin{t: t, ln: ln, answer: answer, conns: map[net.Conn]bool{}}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			o.mu.Lock()
			o.conns[c] = true
			o.mu.Unlock()
			open.Go(func() { o.talk(c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		o.mu.Lock()
		for c := range o.conns {
			c.Close()
		}
		o.mu.Unlock()
		open.Wait()
	})
	return o
}

// echo answers every request with its target, storable.
func echo(t *testing.T) *origin {
	return serve(t, func(c *call) { c.ok("Cache-Control: max-age=60\r\n", c.target()) })
}

func (o *origin) addr() string { return o.ln.Addr().String() }

func (o *origin) talk(c net.Conn) {
	defer c.Close()
	o.mu.Lock()
	record := new(bytes.Buffer)
	o.raw = append(o.raw, record)
	o.mu.Unlock()
	br := bufio.NewReader(io.TeeReader(c, lockedWriter{&o.mu, record}))
	for {
		head, err := readHead(br)
		if err != nil {
			return
		}
		k := &call{o: o, conn: c, br: br, head: head}
		o.mu.Lock()
		o.calls = append(o.calls, k)
		o.mu.Unlock()
		if k.field("Expect") == "" && k.readBody() != nil {
			return
		}
		o.answer(k)
		if k.hung {
			return
		}
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func readHead(br *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		line, err := br.ReadString('\n')
		b.WriteString(line)
		if err != nil {
			return b.String(), err
		}
		if strings.Trim(line, "\r\n") == "" {
			return b.String(), nil
		}
	}
}

// readBody reads the body as the head frames it: chunked where it says so, as an origin that prefers Transfer-Encoding does.
func (c *call) readBody() error {
	r, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(c.head), c.br)))
	if err != nil {
		return err
	}
	body, err := io.ReadAll(r.Body)
	c.o.mu.Lock()
	defer c.o.mu.Unlock()
	c.got = string(body)
	return err
}

// body is what has come of the request's body. A call is listed before its body is read, so any test may ask while the origin reads.
func (c *call) body() string {
	c.o.mu.Lock()
	defer c.o.mu.Unlock()
	return c.got
}

// target is the request target as it came.
func (c *call) target() string { return strings.SplitN(c.head, " ", 3)[1] }

func (c *call) method() string { return strings.SplitN(c.head, " ", 3)[0] }

// field joins the lines of a field; its name is compared as written on the wire, without regard to case.
func (c *call) field(name string) string {
	var values []string
	for _, line := range strings.Split(c.head, "\r\n")[1:] {
		n, v, ok := strings.Cut(line, ":")
		if ok && strings.EqualFold(n, name) {
			values = append(values, strings.TrimSpace(v))
		}
	}
	return strings.Join(values, ", ")
}

// send writes bytes to the gateway; that it has gone away is no fault of the origin's.
func (c *call) send(raw string) { _, _ = io.WriteString(c.conn, raw) }

// ok answers 200 with further field lines, each ended by CRLF.
func (c *call) ok(fields, body string) {
	if c.method() == http.MethodHead {
		c.send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n", len(body), fields))
		return
	}
	c.send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s", len(body), fields, body))
}

// hangUp closes the connection once the answer is written.
func (c *call) hangUp() {
	c.hung = true
	c.conn.Close()
}

// reset closes the connection so that the peer gets an error instead of an end.
func (c *call) reset() {
	c.hung = true
	c.conn.(*net.TCPConn).SetLinger(0)
	c.conn.Close()
}

// seen are the calls so far.
func (o *origin) seen() []*call {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]*call(nil), o.calls...)
}

// bytes is all that came on all connections.
func (o *origin) bytes() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var b strings.Builder
	for _, r := range o.raw {
		b.Write(r.Bytes())
	}
	return b.String()
}

// mustNotHave fails the test if the origin was ever sent a text.
func (o *origin) mustNotHave(text string) {
	o.t.Helper()
	if got := o.bytes(); strings.Contains(strings.ToLower(got), strings.ToLower(text)) {
		o.t.Errorf("the origin was sent %q:\n%s", text, got)
	}
}

// targets lists what was asked for, in order.
func (o *origin) targets() []string {
	var out []string
	for _, c := range o.seen() {
		out = append(out, c.method()+" "+c.target())
	}
	return out
}

// client is one connection to the gateway.
type client struct {
	net.Conn
	t  *testing.T
	br *bufio.Reader
}

// answer is a response as a client got it.
type answer struct {
	status int
	header http.Header
	body   string
	close  bool
	err    error // why the body ended before its end
}

func (g *gateway) dial() *client {
	g.t.Helper()
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return &client{Conn: c, t: g.t, br: bufio.NewReader(c)}
}

func (c *client) send(raw string) {
	c.t.Helper()
	if _, err := io.WriteString(c, raw); err != nil {
		c.t.Fatalf("sending: %v", err)
	}
}

// receive reads the answer to a request of the given method.
func (c *client) receive(method string) answer {
	c.t.Helper()
	a, err := c.tryReceive(method)
	if err != nil {
		c.t.Fatalf("no answer: %v", err)
	}
	return a
}

func (c *client) tryReceive(method string) (answer, error) {
	resp, err := http.ReadResponse(c.br, &http.Request{Method: method})
	if err != nil {
		return answer{}, err
	}
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(body), resp.Close, err}, nil
}

// closed waits for the end of the connection and reports whether nothing came before it.
func (c *client) closed() bool {
	rest, err := io.ReadAll(c.br)
	var slow net.Error
	if len(rest) > 0 || errors.As(err, &slow) && slow.Timeout() {
		c.t.Logf("on the connection came %q, then %v", rest, err)
		return false
	}
	return true
}

// refused demands one of the statuses, and the end of the connection.
func (c *client) refused(statuses ...int) {
	c.t.Helper()
	a := c.receive(http.MethodGet)
	for _, s := range statuses {
		if a.status == s {
			if !c.closed() {
				c.t.Errorf("the connection goes on after %d", a.status)
			}
			return
		}
	}
	c.t.Errorf("answered %d %q, want one of %v", a.status, a.body, statuses)
}

// raw sends bytes on a connection of its own and returns the first answer.
func (g *gateway) raw(bytes string) answer {
	g.t.Helper()
	c := g.dial()
	defer c.Close()
	c.send(bytes)
	method, _, _ := strings.Cut(bytes, " ")
	return c.receive(method)
}

// get asks for a target with further field lines, each ended by CRLF.
func (g *gateway) get(target, fields string) answer {
	g.t.Helper()
	return g.raw("GET " + target + " HTTP/1.1\r\nHost: example.com\r\n" + fields + "\r\n")
}

// healthy checks that another client's request still gets its own answer, from an origin that echoes targets.
func (g *gateway) healthy(o *origin) {
	g.t.Helper()
	for range 3 {
		if a := g.get("/healthy", "Cache-Control: no-cache\r\n"); a.status != 200 || a.body != "/healthy" {
			g.t.Errorf("another client got %d %q", a.status, a.body)
		}
	}
	o.mustNotHave("smuggled")
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// storedStatus is what Cache-Status says: hit, or fwd with its reason.
func (a answer) hit() bool { return strings.Contains(a.header.Get("Cache-Status"), "; hit") }
