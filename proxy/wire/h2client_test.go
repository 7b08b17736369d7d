package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2Patience is how long a test waits for an expected event.
const h2Patience = 20 * time.Second

// h2Fixture is an HTTP/2 server with a wire. It counts its connections.
type h2Fixture struct {
	t     *testing.T
	hot   *canned
	h2    *H2
	ln    net.Listener
	conns sync.WaitGroup
}

// serveH2 starts a server. set may change it before.
func serveH2(t *testing.T, h http.HandlerFunc, set func(*http.Server)) *h2Fixture {
	t.Helper()
	f := &h2Fixture{t: t, hot: new(canned)}
	server := func() *http.Server {
		s := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
		if set != nil {
			set(s)
		}
		return s
	}
	if f.h2 = Attach(server(), f.hot, nil).AttachH2(server()); f.h2 == nil {
		t.Fatal("net/http keeps its HTTP/2 elsewhere")
	}
	var err error
	if f.ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	f.conns.Go(func() {
		for {
			c, err := f.ln.Accept()
			if err != nil {
				return
			}
			// So that a client that does not read soon blocks the server.
			_ = c.(*net.TCPConn).SetWriteBuffer(8 << 10)
			f.conns.Go(func() { f.h2.Serve(c) })
		}
	})
	t.Cleanup(func() {
		f.ln.Close()
		f.conns.Wait()
	})
	return f
}

// hits returns the number of hits on all connections. A client may receive a hit shortly before it
// is counted.
func (f *h2Fixture) hits() int {
	time.Sleep(20 * time.Millisecond)
	f.hot.mu.Lock()
	defer f.hot.mu.Unlock()
	return len(f.hot.sent)
}

// hit reports whether the wire answered.
func (r *reply) hit() bool { return r.status == "200" && !strings.Contains(r.fields, "chance: ") }

func (f *h2Fixture) raw() net.Conn {
	f.t.Helper()
	c, err := net.Dial("tcp", f.ln.Addr().String())
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(h2Patience)); err != nil {
		f.t.Fatal(err)
	}
	return c
}

// reply is the response on a stream.
type reply struct {
	status  string
	fields  string
	body    int
	content []byte
	ended   bool
	reset   http2.ErrCode
}

// h2Client is a client that inspects frames, and enforces its windows strictly.
type h2Client struct {
	t *testing.T
	net.Conn
	framer  *http2.Framer
	encoder *hpack.Encoder
	block   bytes.Buffer
	next    uint32
	replies map[uint32]*reply
	goAway  *http2.GoAwayFrame
	last    uint32 // from GOAWAY

	window  int64 // of the connection
	initial int64
	streams map[uint32]int64
	lazy    int64 // bytes that may be consumed before they are returned; negative: no byte is returned
	owed    int64
}

func (f *h2Fixture) dial(settings ...http2.Setting) *h2Client {
	f.t.Helper()
	return newH2Client(f.t, f.raw(), settings...)
}

func newH2Client(t *testing.T, conn net.Conn, settings ...http2.Setting) *h2Client {
	t.Helper()
	c := &h2Client{t: t, Conn: conn, next: 1, replies: map[uint32]*reply{}, streams: map[uint32]int64{}, window: windowInitial, initial: windowInitial}
	c.framer = http2.NewFramer(conn, conn)
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.framer.SetMaxReadFrameSize(frameMost)
	c.encoder = hpack.NewEncoder(&c.block)
	for _, s := range settings {
		if s.ID == http2.SettingInitialWindowSize {
			c.initial = int64(s.Val)
		}
	}
	_, err := io.WriteString(conn, http2.ClientPreface)
	c.must(err)
	c.must(c.framer.WriteSettings(settings...))
	return c
}

func (c *h2Client) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// give widens the connection's window.
func (c *h2Client) give(n int64) {
	c.t.Helper()
	c.window += n
	c.must(c.framer.WriteWindowUpdate(0, uint32(n)))
}

// getFields returns the fields of a GET request.
func getFields(target string, more ...string) []hpack.HeaderField {
	list := []hpack.HeaderField{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http"}, {Name: ":authority", Value: "h"}, {Name: ":path", Value: target}}
	for i := 0; i < len(more); i += 2 {
		list = append(list, hpack.HeaderField{Name: more[i], Value: more[i+1]})
	}
	return list
}

func (c *h2Client) encode(fields []hpack.HeaderField) []byte {
	c.block.Reset()
	for _, f := range fields {
		_ = c.encoder.WriteField(f) // writes to memory
	}
	return bytes.Clone(c.block.Bytes())
}

// open opens a stream.
func (c *h2Client) open(ends bool, fields []hpack.HeaderField) uint32 {
	c.t.Helper()
	id := c.next
	c.next += 2
	c.streams[id] = c.initial
	c.must(c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.encode(fields), EndStream: ends, EndHeaders: true}))
	return id
}

func (c *h2Client) get(target string, more ...string) uint32 {
	c.t.Helper()
	return c.open(true, getFields(target, more...))
}

// read reads a frame.
func (c *h2Client) read() error {
	f, err := c.framer.ReadFrame()
	if err != nil {
		return err
	}
	switch f := f.(type) {
	case *http2.MetaHeadersFrame:
		r := c.reply(f.StreamID)
		if r.status == "" {
			r.status = f.PseudoValue("status")
		}
		for _, h := range f.RegularFields() {
			if h.Name != "date" {
				r.fields += h.Name + ": " + h.Value + "\n"
			}
		}
		r.ended = f.StreamEnded()
	case *http2.DataFrame:
		c.data(f)
	case *http2.RSTStreamFrame:
		r := c.reply(f.StreamID)
		r.reset, r.ended = f.ErrCode, true
	case *http2.SettingsFrame:
		if !f.IsAck() {
			_ = c.framer.WriteSettingsAck() // if the connection has ended, reading reports it
		}
	case *http2.GoAwayFrame:
		c.goAway, c.last = &http2.GoAwayFrame{ErrCode: f.ErrCode, LastStreamID: f.LastStreamID}, f.LastStreamID
	}
	return nil
}

func (c *h2Client) reply(id uint32) *reply {
	r := c.replies[id]
	if r == nil {
		r = &reply{}
		c.replies[id] = r
	}
	return r
}

// underWay returns the number of open streams.
func (c *h2Client) underWay() int {
	n := len(c.streams)
	for _, r := range c.replies {
		if r.ended {
			n--
		}
	}
	return n
}

// data counts content against the windows.
func (c *h2Client) data(f *http2.DataFrame) {
	c.t.Helper()
	n := int64(f.Length)
	c.window -= n
	c.streams[f.StreamID] -= n
	if c.window < 0 || c.streams[f.StreamID] < 0 {
		c.t.Fatalf("stream %d overruns a window: %d left of the connection's, %d of its own", f.StreamID, c.window, c.streams[f.StreamID])
	}
	r := c.reply(f.StreamID)
	r.body += int(n)
	if r.body <= 4<<10 {
		r.content = append(r.content, f.Data()...)
	}
	r.ended = f.StreamEnded()
	c.owed += n
	if c.lazy < 0 {
		return
	}
	if c.owed > c.lazy {
		c.give(c.owed)
		c.owed = 0
	}
	if !f.StreamEnded() {
		c.streams[f.StreamID] += n
		c.must(c.framer.WriteWindowUpdate(f.StreamID, uint32(n)))
	}
}

// await reads until the streams have ended.
func (c *h2Client) await(ids ...uint32) {
	c.t.Helper()
	for _, id := range ids {
		for !c.reply(id).ended {
			if err := c.read(); err != nil {
				c.t.Fatalf("stream %d has not ended: %v; GOAWAY %v", id, err, c.goAway)
			}
		}
	}
}

// ask sends a GET for a target and returns its reply.
func (c *h2Client) ask(target string, more ...string) *reply {
	c.t.Helper()
	id := c.get(target, more...)
	c.await(id)
	return c.replies[id]
}

// end reads until the connection has ended, and returns the content of GOAWAY.
func (c *h2Client) end() *http2.GoAwayFrame {
	c.t.Helper()
	for {
		if err := c.read(); err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				c.t.Fatal("the connection does not end")
			}
			return c.goAway
		}
	}
}

// slow is a handler that returns the number of bytes named in the path.
func slow(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // a client that disconnects does not matter here
	var size int
	_, _ = fmt.Sscanf(strings.TrimLeft(r.URL.Path, "/slowhit"), "%d", &size) // no number means 0
	w.Header().Set("Trailers", fmt.Sprint(len(r.Trailer)))
	w.Header().Set("Body", fmt.Sprint(len(body)))
	w.Header().Set("Chance", fmt.Sprint(HandedOver(r.Context()).Chance))
	w.Header().Set("Handed", r.Header.Get(handedField))
	w.Header().Set("Cookies", strings.Join(r.Header["Cookie"], "|"))
	chunk := bytes.Repeat([]byte("s"), 16<<10)
	for size > 0 {
		n, err := w.Write(chunk[:min(size, len(chunk))])
		if err != nil {
			return
		}
		size -= n
	}
}
