package hostile

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2 is one HTTP/2 connection of a client that sends what it likes.
type h2 struct {
	t    *testing.T
	conn net.Conn
	*http2.Framer
}

func (g *gateway) h2() *h2 {
	g.t.Helper()
	c := g.dial()
	c.send(http2.ClientPreface)
	f := &h2{t: g.t, conn: c, Framer: http2.NewFramer(c, c.br)}
	f.AllowIllegalWrites = true
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := f.WriteSettings(); err != nil {
		g.t.Fatal(err)
	}
	return f
}

// request sends a header section as it is, and a body where there is one.
func (f *h2) request(stream uint32, fields [][2]string, body string) {
	f.t.Helper()
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, kv := range fields {
		enc.WriteField(hpack.HeaderField{Name: kv[0], Value: kv[1]})
	}
	err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: body == ""})
	if err == nil && body != "" {
		err = f.WriteData(stream, true, []byte(body))
	}
	if err != nil {
		f.t.Logf("sending: %v", err) // the gateway may have hung up already
	}
}

// outcome is the status that a stream ended with, or 0 where the stream or the connection was broken off.
func (f *h2) outcome(stream uint32) (status int, body string) {
	f.t.Helper()
	for {
		frame, err := f.ReadFrame()
		if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
			return 0, ""
		}
		if err != nil {
			var slow net.Error
			if errors.As(err, &slow) && slow.Timeout() {
				f.t.Fatal("no answer at all")
			}
			return 0, ""
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				f.WriteSettingsAck()
			}
		case *http2.MetaHeadersFrame:
			status, _ = strconv.Atoi(frame.PseudoValue("status"))
			if frame.StreamEnded() {
				return status, body
			}
		case *http2.DataFrame:
			body += string(frame.Data())
			if frame.StreamEnded() {
				return status, body
			}
		case *http2.RSTStreamFrame:
			if frame.StreamID == stream {
				if status != 0 && frame.ErrCode == http2.ErrCodeNo {
					continue // the rest of the request is not wanted; the answer goes on
				}
				return 0, ""
			}
		case *http2.GoAwayFrame:
			if frame.ErrCode != http2.ErrCodeNo {
				return 0, ""
			}
		}
	}
}

func get(extra ...[2]string) [][2]string {
	return append([][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "example.com"}, {":path", "/h2"}}, extra...)
}

func TestF3_ConnectOverHTTP2(t *testing.T) {
	t.Parallel()
	o := echo(t)
	g := start(t, o, everything)
	for name, fields := range map[string][][2]string{
		"plain":     {{":method", "CONNECT"}, {":authority", "example.com:80"}},
		"extended":  {{":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "http"}, {":path", "/ws"}, {":authority", "example.com"}},
		"with path": {{":method", "CONNECT"}, {":scheme", "http"}, {":path", "/x"}, {":authority", "example.com"}},
	} {
		for _, length := range []string{"", strconv.Itoa(len(smuggled))} {
			if length != "" {
				fields = append(fields, [2]string{"content-length", length})
			}
			f := g.h2()
			f.request(1, fields, smuggled)
			if status, body := f.outcome(1); status != 0 && status < 400 {
				t.Errorf("%s: %d %q", name, status, body)
			}
			g.healthy(o) // on the upstream connections that CONNECT might have spoilt
		}
	}
	o.mustNotHave("CONNECT")
}

func TestF4_HTTP2Fields(t *testing.T) {
	t.Parallel()
	o := echo(t)
	g := start(t, o, everything)
	post := func(extra ...[2]string) [][2]string {
		return append([][2]string{{":method", "POST"}, {":scheme", "http"}, {":authority", "example.com"}, {":path", "/h2"}}, extra...)
	}
	for _, c := range []struct {
		name   string
		fields [][2]string
		body   string
	}{
		{"transfer-encoding", post([2]string{"transfer-encoding", "chunked"}), "0\r\n\r\n" + smuggled},
		{"connection", get([2]string{"connection", "close"}), ""},
		{"keep-alive", get([2]string{"keep-alive", "timeout=5"}), ""},
		{"proxy-connection", get([2]string{"proxy-connection", "close"}), ""},
		{"upgrade", get([2]string{"upgrade", "websocket"}), ""},
		{"te", get([2]string{"te", "gzip"}), ""},
		{"host that differs", get([2]string{"host", "evil.example"}), ""},
		{"CRLF in a value", get([2]string{"x-a", "b\r\nx-injected: smuggled"}), ""},
		{"LF in a value", get([2]string{"x-a", "b\nx-injected: smuggled"}), ""},
		{"NUL in a value", get([2]string{"x-a", "b\x00c"}), ""},
		{"CRLF in a name", get([2]string{"x-a: b\r\nx-injected", "smuggled"}), ""},
		{"colon in a name", get([2]string{"x:y", "b"}), ""},
		{"capitals in a name", get([2]string{"X-A", "b"}), ""},
		{"space in a name", get([2]string{"x a", "b"}), ""},
		{"empty name", get([2]string{"", "b"}), ""},
		{"two content-length", post([2]string{"content-length", "3"}, [2]string{"content-length", "50"}), "abc"},
		{"content-length too small", post([2]string{"content-length", "3"}), "abc" + smuggled},
		{"content-length too large", post([2]string{"content-length", "50"}), "abc"},
		{"content-length that is none", post([2]string{"content-length", "+3"}), "abc"},
		{"pseudo field after another", append(get([2]string{"x-a", "b"}), [2]string{":path", "/other"}), ""},
		{"two paths", get([2]string{":path", "/other"}), ""},
		{"unknown pseudo field", append([][2]string{{":smuggled", "x"}}, get()...), ""},
		{"no path", [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "example.com"}}, ""},
		{"path with a space", [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "example.com"}, {":path", "/a HTTP/1.1\r\nx-injected: smuggled"}}, ""},
		{"path without a slash", [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "example.com"}, {":path", "h2"}}, ""},
		{"query with a space", [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "example.com"}, {":path", "/a?b smuggled"}}, ""},
		{"method with a space", [][2]string{{":method", "GET /smuggled HTTP/1.1\r\n"}, {":scheme", "http"}, {":authority", "example.com"}, {":path", "/h2"}}, ""},
		{"authority with a path", [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "example.com/smuggled"}, {":path", "/h2"}}, ""},
		{"authority with userinfo", [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "smuggled@example.com"}, {":path", "/h2"}}, ""},
		{"no authority", [][2]string{{":method", "GET"}, {":scheme", "http"}, {":path", "/h2"}}, ""},
	} {
		f := g.h2()
		f.request(1, c.fields, c.body)
		if status, body := f.outcome(1); status != 0 && status != 400 && status != 501 {
			t.Errorf("%s: %d %q", c.name, status, body)
		}
		f.conn.Close()
	}
	g.healthy(o)
	o.mustNotHave("x-injected")
	o.mustNotHave("evil.example")
	for _, k := range o.seen() {
		if k.target() == "/h2" && k.method() == "GET" {
			t.Errorf("the origin was sent %q", k.head)
		}
	}

	f := g.h2()
	f.request(1, get([2]string{"te", "trailers"}, [2]string{"host", "example.com"}), "")
	if status, body := f.outcome(1); status != 200 || body != "/h2" {
		t.Errorf("a good request: %d %q", status, body)
	}
}

// TestR1_HTTP2Floods: who floods a connection loses it, or at least leaves the others alone.
func TestR1_HTTP2Floods(t *testing.T) {
	t.Parallel()
	o := echo(t)
	g := start(t, o, everything)
	for name, flood := range map[string]func(f *h2, i int) error{
		"ping": func(f *h2, i int) error { return f.WritePing(false, [8]byte{byte(i)}) },
		"settings": func(f *h2, _ int) error {
			return f.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 15})
		},
		"continuation": func(f *h2, i int) error {
			if i == 0 {
				return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}, EndHeaders: false})
			}
			return f.WriteContinuation(1, false, bytes.Repeat([]byte{0x00, 0x01, 'a', 0x01, 'b'}, 200))
		},
	} {
		f := g.h2()
		f.conn.SetDeadline(time.Now().Add(2 * time.Second)) // nobody reads the answers: writing may block
		for i := range 10_000 {
			if flood(f, i) != nil {
				break
			}
		}
		if a := g.get("/healthy", ""); a.status != 200 || a.body != "/healthy" {
			t.Errorf("%s: another client got %d %q", name, a.status, a.body)
		}
		f.conn.Close()
	}
	if got := g.PeakMemory(); got > 400<<20 {
		t.Errorf("the gateway took %d MiB", got>>20)
	}
}
