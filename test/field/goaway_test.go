package field

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/penstock/penstock/test/gatewaytest"
)

// h2Origin is an HTTP/2 origin in the clear whose connections end, or refuse, as a test says.
type h2Origin struct {
	url       string
	processed sync.Map     // path to *atomic.Int64: how often a request was processed
	streams   atomic.Int64 // all that have begun
}

// h2Conn is a connection of an h2Origin.
type h2Conn struct {
	*http2.Framer
	net.Conn
	o     *h2Origin
	seen  int // streams on this connection
	quiet bool
}

// newH2Origin starts an origin that asks act, at the end of each request, what to do instead of answering. If act returns false the request is answered.
func newH2Origin(t *testing.T, act func(c *h2Conn, id uint32, nth int64) bool) *h2Origin {
	o := &h2Origin{}
	o.url = rawOrigin(t, func(c net.Conn) {
		br := bufio.NewReader(c)
		if _, err := io.ReadFull(br, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		hc := &h2Conn{Framer: http2.NewFramer(c, br), Conn: c, o: o}
		hc.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		hc.WriteSettings()
		hc.serve(act)
	})
	return o
}

func (c *h2Conn) serve(act func(c *h2Conn, id uint32, nth int64) bool) {
	paths, bodies := map[uint32]string{}, map[uint32][]byte{}
	for {
		f, err := c.ReadFrame()
		if err != nil {
			return
		}
		ended := false
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				c.WriteSettingsAck()
			}
		case *http2.MetaHeadersFrame:
			paths[f.StreamID], ended = f.PseudoValue("path"), f.StreamEnded()
			c.seen++
		case *http2.DataFrame:
			bodies[f.StreamID] = append(bodies[f.StreamID], f.Data()...)
			c.WriteWindowUpdate(0, max(1, f.Length))
			c.WriteWindowUpdate(f.StreamID, max(1, f.Length))
			ended = f.StreamEnded()
		}
		if id := f.Header().StreamID; ended && !act(c, id, c.o.streams.Add(1)) {
			c.answer(id, paths[id], bodies[id])
		}
		if c.quiet {
			c.Conn.(*net.TCPConn).CloseWrite() // what is unread would make it a reset, which overtakes the GOAWAY
			io.Copy(io.Discard, c.Conn)
			return
		}
	}
}

func (c *h2Conn) answer(id uint32, path string, body []byte) {
	count, _ := c.o.processed.LoadOrStore(path, new(atomic.Int64))
	count.(*atomic.Int64).Add(1)
	var b bytes.Buffer
	hpack.NewEncoder(&b).WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
	c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: b.Bytes(), EndHeaders: true})
	c.WriteData(id, true, body)
}

func (o *h2Origin) gateway(t *testing.T) *gatewaytest.Gateway {
	return gatewaytest.Start(t, "upstreams:\n  origin: {targets: [\""+o.url+"\"], protocol: h2c, timeouts: {connect: 10s}}\n"+
		"routes:\n  - {name: all, match: {path: /*}, upstream: origin}\n")
}

// A request that an HTTP/2 origin says it has not processed is sent again, whatever its method, and is processed once.
func TestRequestsThatTheOriginDidNotProcessAreNotLost(t *testing.T) {
	for _, tt := range []struct {
		name string
		act  func(c *h2Conn, id uint32, nth int64) bool
	}{
		{"it ends each connection after 20 requests", func(c *h2Conn, id uint32, _ int64) bool {
			if id == 39 {
				c.WriteGoAway(39, http2.ErrCodeNo, nil)
			}
			return id > 39
		}},
		{"it says so with an error", func(c *h2Conn, id uint32, _ int64) bool {
			if id == 39 {
				c.WriteGoAway(39, http2.ErrCodeEnhanceYourCalm, []byte("too many"))
			}
			return id > 39
		}},
		{"it warns before, as gRPC servers do", func(c *h2Conn, id uint32, _ int64) bool {
			switch id {
			case 37:
				c.WriteGoAway(1<<31-1, http2.ErrCodeNo, nil)
			case 39:
				c.WriteGoAway(39, http2.ErrCodeNo, nil)
			}
			return id > 39
		}},
		{"it has not looked at the request whose GOAWAY it sends", func(c *h2Conn, id uint32, _ int64) bool {
			if id < 39 {
				return false
			}
			c.WriteGoAway(37, http2.ErrCodeNo, nil)
			return true
		}},
		{"it refuses four streams in a row", func(c *h2Conn, id uint32, nth int64) bool {
			refuse := nth > 10 && nth <= 14 // one request may be all four; a fifth refusal would be its answer
			if refuse {
				c.WriteRSTStream(id, http2.ErrCodeRefusedStream)
			}
			return refuse
		}},
		{"it refuses the first streams of each connection", func(c *h2Conn, id uint32, nth int64) bool {
			if id <= 3 {
				c.WriteRSTStream(id, http2.ErrCodeRefusedStream)
			}
			return id <= 3
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := newH2Origin(t, tt.act)
			g := o.gateway(t)
			var all sync.WaitGroup
			for c := range 6 {
				all.Go(func() {
					for i := range 15 {
						path := fmt.Sprintf("/%d/%d", c, i)
						var body io.Reader = strings.NewReader(strings.Repeat("x", 100))
						if i%3 == 1 {
							body = io.MultiReader(body) // of unknown length
						}
						r := g.Do(http.MethodPost, path, body)
						if r.Err != nil || r.Status != 200 || len(r.Body) != 100 {
							t.Errorf("POST %s: %d, %d bytes, %v %v", path, r.Status, len(r.Body), r.Err, r.Header["Proxy-Status"])
						}
						if n, _ := o.processed.Load(path); n == nil || n.(*atomic.Int64).Load() != 1 {
							t.Errorf("POST %s was not processed once", path)
						}
					}
				})
			}
			all.Wait()
		})
	}
}

// A request that the origin may have processed is not sent again, and its client is told that the gateway lost it: 502, never 400, which says that the request
// was wrong and must not be repeated.
func TestALostPostIsNotPutDownToItsClient(t *testing.T) {
	small, large := strings.Repeat("x", 100), strings.Repeat("x", 200<<10)
	for _, tt := range []struct {
		name, body string
		act        func(c *h2Conn, id uint32, nth int64) bool
	}{
		{"the connection ends below the last stream", small, func(c *h2Conn, id uint32, _ int64) bool {
			c.WriteGoAway(id, http2.ErrCodeNo, nil)
			c.quiet = true
			return true
		}},
		{"the connection ends without a word", small, func(c *h2Conn, _ uint32, _ int64) bool {
			c.quiet = true
			return true
		}},
		{"the stream is reset", small, func(c *h2Conn, id uint32, _ int64) bool {
			c.WriteRSTStream(id, http2.ErrCodeInternal)
			return true
		}},
		{"the stream is cancelled", small, func(c *h2Conn, id uint32, _ int64) bool {
			c.WriteRSTStream(id, http2.ErrCodeCancel)
			return true
		}},
		{"the origin calls it a protocol error", small, func(c *h2Conn, id uint32, _ int64) bool {
			c.WriteRSTStream(id, http2.ErrCodeProtocol)
			return true
		}},
		{"it is not processed, but too large to be held", large, func(c *h2Conn, id uint32, _ int64) bool {
			c.WriteGoAway(id-1, http2.ErrCodeNo, nil)
			return true
		}},
		{"it is refused, but too large to be held", large, func(c *h2Conn, id uint32, _ int64) bool {
			c.WriteRSTStream(id, http2.ErrCodeRefusedStream)
			return true
		}},
		{"it is refused each time", small, func(c *h2Conn, id uint32, _ int64) bool {
			c.WriteRSTStream(id, http2.ErrCodeRefusedStream)
			return true
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := newH2Origin(t, tt.act)
			g := o.gateway(t)
			r := g.Do(http.MethodPost, "/", strings.NewReader(tt.body))
			if r.Err != nil || r.Status != 502 || !strings.Contains(r.Header.Get("Proxy-Status"), "connection_terminated") {
				t.Errorf("%d %v, %v", r.Status, r.Header["Proxy-Status"], r.Err)
			}
			if n := o.streams.Load(); n != 1 && tt.name != "it is refused each time" {
				t.Errorf("it was sent %d times", n)
			}
		})
	}
}
