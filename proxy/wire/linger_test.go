package wire

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// decline answers without reading the body.
func decline(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Connection", "close")
	w.WriteHeader(http.StatusForbidden)
}

// halfway is a connection that can close one direction. A pipe can't, so its client does not
// notice.
type halfway struct{ net.Conn }

func (halfway) CloseWrite() error { return nil }

// declined returns a client that has received its response while it still has much to send.
func declined(t *testing.T) (*fixture, *client) {
	f := serve(t, decline, timeouts)
	near, far := net.Pipe()
	w := f.wire.Wrap(far, halfway{far})
	f.conns <- w.Plain()
	c := &client{Conn: near, t: t, br: bufio.NewReader(near), wire: w}
	t.Cleanup(func() { time.Sleep(time.Second) }) // net/http waits for half a second before it closes
	c.send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\nabc")
	c.want(c.receive(), "403 ")
	return f, c
}

// TestLingering checks that a client with an early response may send on, but may be neither silent
// nor send for ever.
func TestLingering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := declined(t)
		if d := c.closedAfter(); d != lingerSilence {
			t.Errorf("a silent client was cut off after %v", d)
		}
		_, c = declined(t)
		start := time.Now()
		for {
			if _, err := io.WriteString(c, "more"); err != nil {
				break
			}
			time.Sleep(time.Second)
		}
		if d := time.Since(start); d < lingerTime || d > lingerTime+time.Second {
			t.Errorf("a client that goes on was cut off after %v", d)
		}
		_, c = declined(t)
		c.Close()
		synctest.Wait() // all goroutines have ended
	})
}

// TestLingeringMakesRoom checks that lingering ends for a new client and at the end of the server.
func TestLingeringMakesRoom(t *testing.T) {
	for name, end := range map[string]func(*fixture, *client){
		"another client": func(_ *fixture, c *client) { c.wire.EndIdle() },
		"the end":        func(f *fixture, _ *client) { f.wire.EndLingering() },
	} {
		synctest.Test(t, func(t *testing.T) {
			f, c := declined(t)
			c.send("more")
			synctest.Wait()
			if c.wire.IdleSince() == 0 {
				t.Errorf("%s: the connection seems busy", name)
			}
			end(f, c)
			if d := c.closedAfter(); d != 0 {
				t.Errorf("%s: it took %v", name, d)
			}
		})
	}
}

// TestNoLingeringWithoutNeed checks that a connection with a completely read request is closed at
// once.
func TestNoLingeringWithoutNeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serve(t, echo, timeouts)
		c := f.dial()
		c.send("POST /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc")
		c.want(c.receive(), "200 /a abc <nil>")
		if d := c.closedAfter(); d != 0 {
			t.Errorf("closed after %v", d)
		}
	})
}
