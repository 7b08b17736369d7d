package wire

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/penstock/penstock/proxy/observe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// canned answers every target that begins with /hit, with a body of the length that follows.
type canned struct {
	mu        sync.Mutex
	sent      []observe.Hit
	meanwhile func() // called while a request is inspected
}

func (c *canned) Answer(r *Request, a *Answer) bool {
	if c.meanwhile != nil {
		c.meanwhile()
	}
	if r.Target == "/panic" {
		panic("on purpose")
	}
	if !strings.HasPrefix(r.Target, "/hit") {
		if r.Target == "/drawn" {
			a.Handed.Chance = 0.5
		}
		return false
	}
	var size int
	_, _ = fmt.Sscanf(r.Target, "/hit%d", &size) // no number means 0
	a.Head = fmt.Appendf(a.Head, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)
	if r.Method == "GET" {
		a.Body = [][]byte{[]byte(strings.Repeat("h", size))}
	}
	return true
}

func (c *canned) Sent(h *observe.Hit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := *h
	kept.Head = nil
	c.sent = append(c.sent, kept)
}

// reported returns the number of hits reported to Hot, once the connection is quiet.
func (c *canned) reported() int {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sent)
}

// fixture is a server with a wire, and a client connected to it.
type fixture struct {
	t      *testing.T
	hot    *canned
	http   *http.Server
	wire   *Server
	conns  chan net.Conn
	served chan struct{}
}

// serve starts a server. set may change it before.
func serve(t *testing.T, h http.HandlerFunc, set func(*http.Server)) *fixture {
	t.Helper()
	f := &fixture{t: t, hot: new(canned), conns: make(chan net.Conn), served: make(chan struct{})}
	f.http = &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	if set != nil {
		set(f.http)
	}
	f.wire = Attach(f.http, f.hot, nil)
	go func() {
		defer close(f.served)
		_ = f.http.Serve(f) // ends only with Close
	}()
	t.Cleanup(f.stop)
	return f
}

func (f *fixture) stop() {
	f.http.Close()
	<-f.served
}

func (f *fixture) Accept() (net.Conn, error) {
	c, ok := <-f.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (f *fixture) Close() error {
	close(f.conns)
	return nil
}

func (*fixture) Addr() net.Addr { return &net.TCPAddr{} }

// client is a client's end of a connection.
type client struct {
	net.Conn
	t    *testing.T
	br   *bufio.Reader
	wire *Conn
}

func (f *fixture) dial() *client {
	near, far := net.Pipe()
	w := f.wire.Wrap(far, far)
	f.conns <- w.Plain()
	return &client{Conn: near, t: f.t, br: bufio.NewReader(near), wire: w}
}

// ask sends a GET and reads the response.
func (c *client) ask(target string) string {
	c.t.Helper()
	c.send("GET " + target + " HTTP/1.1\r\nHost: h\r\n\r\n")
	return c.receive()
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Error(err)
	}
}

// receive reads a response, and returns its status and body.
func (c *client) receive() string {
	c.t.Helper()
	resp, err := http.ReadResponse(c.br, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return fmt.Sprint(resp.StatusCode, " ", string(body))
}

// closedAfter waits for the end of the connection, and returns the time until then.
func (c *client) closedAfter() time.Duration {
	c.t.Helper()
	start := time.Now()
	if b, err := c.br.ReadByte(); err != io.EOF {
		c.t.Fatalf("%q, %v instead of the end", b, err)
	}
	return time.Since(start)
}

func (c *client) want(got, want string) {
	c.t.Helper()
	if got != want {
		c.t.Errorf("%q instead of %q", got, want)
	}
}

// echo is a handler that returns the path and the body.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %v", r.URL.Path, body, err)
}

func timeouts(s *http.Server) {
	s.ReadHeaderTimeout, s.ReadTimeout, s.IdleTimeout, s.WriteTimeout = 5*time.Second, time.Minute, 2*time.Minute, 10*time.Second
}

func TestHitsAndOtherRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serve(t, echo, nil)
		c := f.dial()
		for range 3 {
			c.want(c.ask("/hit5"), "200 hhhhh")
			c.want(c.ask("/other"), "200 /other  <nil>")
			c.send("POST /post HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc")
			go c.send("defGET /hit1 HTTP/1.1\r\nHost: h\r\n\r\n")
			c.want(c.receive(), "200 /post abcdef <nil>")
			c.want(c.receive(), "200 h")
			c.want(c.ask("/hit20000"), "200 "+strings.Repeat("h", 20000))
		}
		if n := f.hot.reported(); n != 9 {
			t.Errorf("%d hits were told of", n)
		}
		c.send("POST /post HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /hit1 HTTP/1.1\r\nHost: h\r\n\r\n")
		c.want(c.receive(), "200 /post abc <nil>")
		c.want(c.receive(), "200 h")
		c.want(c.ask("/hit5"), "200 hhhhh")
		c.Close()
	})
}

// TestOneRequestAtATime checks that bytes after a request that is being answered wait, and that
// net/http does not see them.
func TestOneRequestAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				<-release
			}
			echo(w, r)
		}, timeouts)
		c := f.dial()
		go c.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\nGET /hit2 HTTP/1.1\r\nHost: h\r\n\r\nGET /other HTTP/1.1\r\nHost: h\r\n\r\nGET /hit3 HTTP/1.1\r\nHost: h\r\n\r\n")
		synctest.Wait()
		if n := f.hot.reported(); n != 0 {
			t.Errorf("%d answers overtook a request", n)
		}
		close(release)
		for _, want := range []string{"200 /slow  <nil>", "200 hh", "200 /other  <nil>", "200 hhh"} {
			c.want(c.receive(), want)
		}
		c.Close()
	})
}

// TestClientDisconnects checks that a handler learns of a disconnected client, as without a wire.
func TestClientDisconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := make(chan struct{})
		f := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			close(gone)
		}, timeouts)
		c := f.dial()
		c.want(c.ask("/hit"), "200 ")
		c.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
		synctest.Wait()
		c.Close()
		<-gone
	})
}

func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serve(t, echo, timeouts)
		c := f.dial()
		for range 10 { // longer than any of the timeouts
			c.want(c.ask("/hit"), "200 ")
			time.Sleep(100 * time.Second)
		}
		c.want(c.ask("/other"), "200 /other  <nil>")
		time.Sleep(100 * time.Second)
		c.want(c.ask("/hit"), "200 ")
		if d := c.closedAfter(); d != 2*time.Minute {
			t.Errorf("an idle connection was closed after %v", d)
		}
	})
}

// TestSlowHeads checks that a head has the time that net/http allows, however many hits came
// before.
func TestSlowHeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serve(t, echo, timeouts)
		c := f.dial()
		if d := c.closedAfter(); d != 5*time.Second {
			t.Errorf("a connection without a request was closed after %v", d)
		}
		for _, before := range []string{"", "/hit", "/other"} {
			c := f.dial()
			if before != "" {
				c.ask(before)
				time.Sleep(time.Minute)
			}
			for _, b := range "GET /hit HTTP/1.1\r\n" {
				c.send(string(b))
				time.Sleep(200 * time.Millisecond)
			}
			if d := c.closedAfter(); d != 5*time.Second-19*200*time.Millisecond {
				t.Errorf("a head that does not end, after %q, was cut off %v later", before, d)
			}
		}
	})
}

// TestReadTimeoutCountsFromTheRequest checks the correction of net/http's start time: net/http
// counts from when it began to wait for its first request, and does not know that others were
// answered.
func TestReadTimeoutCountsFromTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serve(t, echo, func(s *http.Server) { timeouts(s); s.WriteTimeout = 0 })
		c := f.dial()
		for range 5 {
			c.want(c.ask("/hit"), "200 ")
			time.Sleep(time.Minute)
		}
		c.send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na")
		time.Sleep(50 * time.Second)
		c.send("b")
		c.want(c.receive(), "200 /a ab <nil>")
		c.send("POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na")
		synctest.Wait()
		if got := c.receive(); !strings.Contains(got, "timeout") {
			t.Errorf("a body that does not come: %q", got)
		}
		c.Close()
	})
}

func TestWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serve(t, echo, timeouts)
		c := f.dial()
		c.want(c.ask("/hit"), "200 ")
		time.Sleep(time.Second)
		c.send("GET /hit100000 HTTP/1.1\r\nHost: h\r\n\r\n")
		time.Sleep(9 * time.Second)
		if _, err := c.br.Discard(1000); err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Second)
		if n, err := io.Copy(io.Discard, c.br); err != nil || n >= 100_000 {
			t.Errorf("a client that does not read got %d bytes (%v)", n, err)
		}
	})
}

// TestStop checks that a stopping server passes all requests to net/http, which tells clients that
// the connection ends.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serve(t, echo, timeouts)
		c := f.dial()
		c.want(c.ask("/hit"), "200 ")
		f.wire.Stop()
		c.want(c.ask("/hit"), "200 /hit  <nil>")
		c.Close()
	})
}

// TestCloseIdle checks that a response that is being written is completed, whichever function
// closes the connection.
func TestCloseIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serve(t, echo, timeouts)
		unused, used, busy := f.dial(), f.dial(), f.dial()
		used.want(used.ask("/hit"), "200 ")
		busy.send("GET /hit50000 HTTP/1.1\r\nHost: h\r\n\r\n")
		synctest.Wait()
		for _, c := range []*client{unused, used, busy} {
			c.wire.CloseIdle()
			if c == busy {
				c.wire.Close()
			}
		}
		if d := used.closedAfter(); d != 0 {
			t.Errorf("an idle connection was closed after %v", d)
		}
		busy.want(busy.receive(), "200 "+strings.Repeat("h", 50_000))
		busy.closedAfter()
		unused.want(unused.ask("/other"), "200 /other  <nil>")
		unused.Close()
	})
}

// TestCloseIdleWhileARequestIsInspected checks that such a request is answered, and the connection
// closed afterwards.
func TestCloseIdleWhileARequestIsInspected(t *testing.T) {
	for target, want := range map[string]string{"/hit3": "200 hhh", "/other": "200 /other  <nil>"} {
		synctest.Test(t, func(t *testing.T) {
			f := serve(t, echo, timeouts)
			c := f.dial()
			c.want(c.ask("/hit"), "200 ")
			f.hot.meanwhile = func() { c.wire.CloseIdle() }
			c.want(c.ask(target), want)
			if d := c.closedAfter(); d != 0 {
				t.Errorf("%s: closed after %v", target, d)
			}
		})
	}
}

// TestHijack checks that a handler that takes over a connection gets all its bytes.
func TestHijack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serve(t, func(w http.ResponseWriter, r *http.Request) {
			conn, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			line, err := rw.ReadString('\n')
			fmt.Fprintf(conn, "%s%v\n", line, err)
		}, timeouts)
		for _, head := range []string{"GET /raw HTTP/1.1\r\nHost: h\r\n\r\n", "GET /raw HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"} {
			c := f.dial()
			c.want(c.ask("/hit"), "200 ")
			c.send(head + "GET /hit")
			c.send(" and more\n")
			got, err := io.ReadAll(c.br)
			if err != nil || string(got) != "GET /hit and more\n<nil>\n" {
				t.Errorf("%q %v", got, err)
			}
		}
	})
}

// TestLargeHeads checks that the wire accepts heads up to net/http's limit.
func TestLargeHeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serve(t, echo, func(s *http.Server) { timeouts(s); s.MaxHeaderBytes = 16 << 10 })
		c := f.dial()
		for _, size := range []int{3000, 4000, 5000, 16000} {
			go c.send("GET /hit HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", size) + "\r\n\r\nGET /other HTTP/1.1\r\nHost: h\r\n\r\n")
			c.want(c.receive(), "200 ")
			c.want(c.receive(), "200 /other  <nil>")
		}
		go io.WriteString(c, "GET /hit HTTP/1.1\r\nHost: h\r\nX: "+strings.Repeat("x", 30_000)+"\r\n\r\n")
		if got := c.receive(); !strings.HasPrefix(got, "431") {
			t.Error(got)
		}
		c.Close()
	})
}

// TestHandedOver checks that findings reach the handler of their request and no other.
func TestHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, HandedOver(r.Context()).Chance) }, timeouts)
		c := f.dial()
		c.want(c.ask("/drawn"), "200 0.5")
		c.want(c.ask("/other"), "200 0")
		c.Close()
	})
}

// TestPanic checks that a panic while answering closes its connection and no other.
func TestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serve(t, echo, timeouts)
		f.wire.Hot = panicking{f.hot}
		c := f.dial()
		c.send("GET /hit HTTP/1.1\r\nHost: h\r\n\r\n")
		c.closedAfter()
	})
}

type panicking struct{ *canned }

func (panicking) Answer(*Request, *Answer) bool { panic("a defect") }

// TestHostOfTheRequestBeforeIsForgotten checks that a request without Host does not get the Host of
// the one before, whose bytes may have been overwritten.
func TestHostOfTheRequestBeforeIsForgotten(t *testing.T) {
	var r Request
	before := []byte("GET / HTTP/1.1\r\nHost: example.test\r\n\r\n")
	if c := r.parse(before); c == refused || r.Host != "example.test" {
		t.Fatalf("%v, %q", c, r.Host)
	}
	for i := range before {
		before[i] = ' '
	}
	if c := r.parse([]byte("GET http://example.test/ HTTP/1.0\r\n\r\n")); c == refused || r.Host != "" {
		t.Errorf("%v, host %q", c, r.Host)
	}
}
