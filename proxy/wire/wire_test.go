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

// canned answers whatever has a target that begins with /hit, with a body of the length that follows.
type canned struct {
	mu        sync.Mutex
	sent      []observe.Hit
	meanwhile func() // happens while a request is looked at
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
	_, _ = fmt.Sscanf(r.Target, "/hit%d", &size) // none is 0
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

// told is how many hits it was told of, once nothing happens any more.
func (c *canned) told() int {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sent)
}

func (*canned) SameHost(authority, host string, _ *Peer) bool {
	return strings.EqualFold(authority, host)
}

// fixture is a server with a wire, and a client's end of a connection to it.
type fixture struct {
	t      *testing.T
	hot    *canned
	http   *http.Server
	wire   *Server
	conns  chan net.Conn
	served chan struct{}
}

// serve starts a server; set changes it before.
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
		_ = f.http.Serve(f) // it ends by Close alone
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

// receive reads a response, and tells its status and body.
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

// closedAfter waits for the end of the connection, and tells how long that took.
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

// echo is a handler that tells the path and the body.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %v", r.URL.Path, body, err)
}

func timeouts(s *http.Server) {
	s.ReadHeaderTimeout, s.ReadTimeout, s.IdleTimeout, s.WriteTimeout = 5*time.Second, time.Minute, 2*time.Minute, 10*time.Second
}

func TestWhoAnswers(t *testing.T) {
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
		if n := f.hot.told(); n != 9 {
			t.Errorf("%d hits were told of", n)
		}
		// Chunked: from here on the connection is net/http's.
		c.send("POST /post HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
		c.want(c.receive(), "200 /post abc <nil>")
		c.want(c.ask("/hit5"), "200 /hit5  <nil>")
		c.Close()
	})
}

// TestOneRequestAtATime: what comes behind a request that is being answered waits, and net/http is not told of it.
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
		if n := f.hot.told(); n != 0 {
			t.Errorf("%d answers overtook a request", n)
		}
		close(release)
		for _, want := range []string{"200 /slow  <nil>", "200 hh", "200 /other  <nil>", "200 hhh"} {
			c.want(c.receive(), want)
		}
		c.Close()
	})
}

// TestClientThatGoes: a handler learns of it, as without a wire.
func TestClientThatGoes(t *testing.T) {
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
		for range 10 { // more than any of the timeouts
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

// TestSlowHeads: a head has the time that net/http gives it, however many hits went before.
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

// TestReadTimeoutCountsFromTheRequest: net/http counts from when it began to wait for its first one, and does not know that others were answered.
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

// TestStop: a stopping server has net/http answer all, which says that the connection ends.
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

// TestCloseIdle: what is being answered is answered to the end, whoever closes.
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

// TestCloseIdleWhileARequestIsLookedAt: it is answered, by whoever does that, and the connection closed then.
func TestCloseIdleWhileARequestIsLookedAt(t *testing.T) {
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

// TestHijack: who takes a connection over gets all that comes on it.
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

// TestLargeHeads fit as far as net/http takes them.
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

// TestHandedOver: what was found out goes with the request it was found out about, and with no other.
func TestHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, HandedOver(r.Context()).Chance) }, timeouts)
		c := f.dial()
		c.want(c.ask("/drawn"), "200 0.5")
		c.want(c.ask("/other"), "200 0")
		c.Close()
	})
}

// TestPanic: an answer that panics costs its connection alone, and that is closed.
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
