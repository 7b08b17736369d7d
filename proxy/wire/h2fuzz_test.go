package wire

import (
	"bytes"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// recordingConn is a client's connection that sends given bytes in pieces of one size, and records
// the bytes that it receives.
type recordingConn struct {
	net.Conn // always nil
	says     []byte
	piece    int
	hears    bytes.Buffer
}

func (c *recordingConn) Read(p []byte) (int, error) {
	if len(c.says) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.piece)], c.says)
	c.says = c.says[n:]
	return n, nil
}

func (c *recordingConn) Write(p []byte) (int, error)      { return c.hears.Write(p) }
func (*recordingConn) Close() error                       { return nil }
func (*recordingConn) RemoteAddr() net.Addr               { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)} }
func (*recordingConn) SetReadDeadline(time.Time) error    { return nil }
func (*recordingConn) SetWriteDeadline(t time.Time) error { return nil }

// FuzzH2 makes a client send arbitrary frames. The output to net/http must stay within its limit,
// with header blocks that depend on no earlier block. The client must receive only whole responses
// to its requests, within its windows.
func FuzzH2(f *testing.F) {
	talk, _ := conversation()
	talk = talk[len(http2.ClientPreface):]
	for at := range talk {
		if at%37 == 0 {
			f.Add(talk[:at], uint16(at))
			f.Add(append(bytes.Clone(talk[:at]), talk[at/2:]...), uint16(1+at/9))
		}
	}
	f.Add(append(bytes.Clone(talk), continuations(2000)...), uint16(500))
	f.Add(append(bytes.Clone(talk), bomb()...), uint16(2000))
	const headerBytes = 8 << 10
	server := func() *http.Server {
		return &http.Server{MaxHeaderBytes: headerBytes, ErrorLog: log.New(io.Discard, "", 0)}
	}
	hot := new(canned)
	h2 := Attach(server(), hot, nil).AttachH2(server())
	f.Fuzz(func(t *testing.T, says []byte, piece uint16) {
		hot.sent = nil
		client := &recordingConn{says: says, piece: 1 + int(piece)}
		c := h2.newConn(client)
		if _, err := c.Write(frame{kind: http2.FrameSettings}.append(nil)); err != nil {
			t.Fatal(err)
		}
		got := bounded(t, c)
		if !c.ended {
			lookAtGiven(t, c, got)
		}
		lookAtHeard(t, c, client.hears.Bytes(), len(hot.sent))
	})
}

// bounded reads all output for net/http, and checks the memory after each piece.
func bounded(t *testing.T, c *h2Conn) []byte {
	t.Helper()
	var got []byte
	p := make([]byte, 700)
	for {
		n, err := c.Read(p)
		got = append(got, p[:n]...)
		if len(c.ahead) > 4*c.server.listBytes {
			t.Fatalf("%d bytes are held for net/http", len(c.ahead))
		}
		if s := c.scratch; s != nil && (c.block.size > 3*c.server.listBytes || len(s.out) > h2Out+2*h2Body || s.count > maxPipelined) {
			t.Fatalf("%d bytes of fields, %d of %d answers", c.block.size, len(s.out), s.count)
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			return got
		}
	}
}

// lookAtGiven decodes the output for net/http.
func lookAtGiven(t *testing.T, c *h2Conn, got []byte) {
	t.Helper()
	var block []byte
	for len(got) >= frameHead {
		f := parseFrame(got)
		if len(got) < frameHead+f.length {
			return // the client has not sent everything
		}
		content := got[frameHead : frameHead+f.length]
		got = got[frameHead+f.length:]
		switch f.kind {
		case http2.FrameHeaders:
			if f.length > h2ReadFrame {
				return // net/http rejects this frame and all later ones
			}
			block = content
			if f.flags&http2.FlagHeadersPriority != 0 {
				block = block[prioritySize:]
			}
			d := hpack.NewDecoder(0, nil)
			if fields, err := d.DecodeFull(block); err != nil {
				t.Fatalf("net/http gets a block that says %v: %v", fields, err)
			}
			if f.flags&http2.FlagHeadersEndHeaders == 0 {
				t.Fatal("net/http gets a small block in pieces")
			}
			if f.stream%2 == 1 && f.stream > c.given {
				t.Fatalf("net/http gets stream %d and is believed to have %d", f.stream, c.given)
			}
		}
	}
}

// lookAtHeard counts the responses.
func lookAtHeard(t *testing.T, c *h2Conn, heard []byte, answers int) {
	t.Helper()
	framer := http2.NewFramer(io.Discard, bytes.NewReader(heard))
	framer.ReadMetaHeaders = hpack.NewDecoder(0, nil)
	heads, ends, last := 0, 0, uint32(0)
	for {
		f, err := framer.ReadFrame()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			if f.StreamID <= last || f.StreamID > c.seen {
				t.Fatalf("stream %d is answered after %d; the client has opened %d", f.StreamID, last, c.seen)
			}
			last = f.StreamID
			heads++
			if f.StreamEnded() {
				ends++
			}
		case *http2.DataFrame:
			if f.StreamID != last {
				t.Fatalf("content of stream %d among that of %d", f.StreamID, last)
			}
			if f.StreamEnded() {
				ends++
			}
		}
	}
	if heads != answers || ends != answers {
		t.Fatalf("%d heads and %d ends of %d answers", heads, ends, answers)
	}
	if c.window.ours < 0 || c.window.ours+c.window.theirs > windowMost {
		t.Fatalf("windows %d and %d", c.window.ours, c.window.theirs)
	}
}

// continuations returns a header block that does not end.
func continuations(n int) []byte {
	var b bytes.Buffer
	f := http2.NewFramer(&b, nil)
	// Writes to memory, as all calls below.
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 101, BlockFragment: []byte{0x82}})
	for range n {
		_ = f.WriteContinuation(101, false, nil)
	}
	return b.Bytes()
}

// bomb returns a small header block with many large fields.
func bomb() []byte {
	var b, block bytes.Buffer
	f := http2.NewFramer(&b, nil)
	e := hpack.NewEncoder(&block)
	for _, field := range getFields("/hit1") {
		_ = e.WriteField(field) // writes to memory, as all calls below
	}
	for range 4000 {
		_ = e.WriteField(hpack.HeaderField{Name: "x", Value: string(bytes.Repeat([]byte("v"), 4000))})
	}
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 103, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true})
	return b.Bytes()
}
