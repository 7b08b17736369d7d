package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// generator asks and asks over connections that it keeps, and counts what fails. Failed is, without an exception:
//
//   - an answer with another status than 200, or with other content than the path's,
//   - an answer that breaks off after its first byte,
//   - a connection that ends without an answer to a request that was written to it, unless it had been told to end before: by
//     `Connection: close` on the answer before, or by an end that was there to be seen when the request was to be written, or the request came so late
//     that the gateway may have waited for it all the time that it waits,
//   - a connection that is refused or reset while the gateway has not been told to stop.
//
// This is stricter than browsers and pools are, which ask again on a connection that was kept: a gateway that stops has to say so before
// it closes. When it has been told to stop, a client whose connection was ended in these ways, and who can't get another, is done.
type generator struct {
	addr     string
	paths    []string
	content  func(path string) []byte
	stopping atomic.Bool // set before the gateway is told to stop

	answers atomic.Int64
	mu      sync.Mutex
	failed  []string
	workers sync.WaitGroup
	quit    chan struct{}
}

func (g *generator) start(clients int) {
	g.quit = make(chan struct{})
	for i := range clients {
		g.workers.Go(func() { g.work(i) })
	}
}

// stop ends the load and returns what failed.
func (g *generator) stop() []string {
	close(g.quit)
	g.workers.Wait()
	return g.failed
}

// wait waits until all clients have ended by themselves.
func (g *generator) wait() []string {
	g.workers.Wait()
	return g.failed
}

func (g *generator) fail(format string, args ...any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failed = append(g.failed, fmt.Sprintf(format, args...))
}

// work is one client: it connects, asks until the connection ends as it should, and connects again.
func (g *generator) work(i int) {
	for n := i; ; {
		select {
		case <-g.quit:
			return
		default:
		}
		stopping := g.stopping.Load()
		c, err := net.DialTimeout("tcp", g.addr, patience)
		if err != nil {
			if !stopping && !g.stopping.Load() {
				g.fail("connecting: %v", err)
			}
			return
		}
		more := g.talk(c, &n)
		c.Close()
		if !more {
			return
		}
	}
}

// lameDuck is how long a gateway that stops leaves open what has no request, to tell who uses it.
const lameDuck = time.Second

// talk uses a connection until it ends. It reports whether another one is wanted.
func (g *generator) talk(c net.Conn, n *int) bool {
	br := bufio.NewReaderSize(c, 64<<10)
	var asked time.Time // when the request before was
	for first := true; ; first = false {
		select {
		case <-g.quit:
			return false
		default:
		}
		if !first && ended(c) {
			return true
		}
		path := g.paths[*n%len(g.paths)]
		*n++
		before := asked
		late := func() bool { return !first && time.Since(before) >= lameDuck } // as on a machine that has much else to do
		asked = time.Now()
		c.SetDeadline(asked.Add(patience))
		if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: example.com\r\n\r\n", path); err != nil {
			if late() {
				return true
			}
			// A first request may be too late: the connection was in the queue of a socket that has been closed.
			if !first || !g.stopping.Load() {
				g.fail("%s: writing: %v", path, err)
			}
			return false
		}
		if _, err := br.Peek(1); err != nil {
			if late() {
				return true
			}
			if !first || !g.stopping.Load() {
				g.fail("%s: no answer: %v", path, err)
			}
			return false
		}
		closing, err := g.read(br, path)
		if err != nil {
			g.fail("%s: %v", path, err)
			return true
		}
		g.answers.Add(1)
		if closing {
			return true
		}
	}
}

func (g *generator) read(br *bufio.Reader, path string) (closing bool, err error) {
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return false, fmt.Errorf("broke off after %d bytes: %w", len(body), err)
	case resp.StatusCode != http.StatusOK:
		return false, fmt.Errorf("%s: %s", resp.Status, body)
	case !bytes.Equal(body, g.content(path)):
		return false, fmt.Errorf("%d bytes of another content", len(body))
	}
	return resp.Close, nil
}

// ended looks whether the end of a connection has arrived, without waiting for it.
func ended(c net.Conn) bool {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = raw.Read(func(fd uintptr) bool {
		n, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		gone = n == 0 && err == nil || err != nil && !errors.Is(err, syscall.EAGAIN)
		return true
	})
	return gone || err != nil
}

func (g *generator) report(t *testing.T, failed []string) {
	t.Helper()
	for i, f := range failed {
		if i == 10 {
			break
		}
		t.Error(f)
	}
	if len(failed) > 0 {
		t.Errorf("%d requests failed of %d", len(failed), g.answers.Load()+int64(len(failed)))
	}
	if g.answers.Load() < 100 {
		t.Errorf("only %d requests were answered: that is no load", g.answers.Load())
	}
	t.Logf("%d requests were answered", g.answers.Load())
}
