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

// told is a client's connection that says what it is given, in pieces of a size, and notes what it is told.
type told struct {
	net.Conn // none
	says     []byte
	piece    int
	hears    bytes.Buffer
}

func (c *told) Read(p []byte) (int, error) {
	if len(c.says) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.piece)], c.says)
	c.says = c.says[n:]
	return n, nil
}

func (c *told) Write(p []byte) (int, error)      { return c.hears.Write(p) }
func (*told) Close() error                       { return nil }
func (*told) RemoteAddr() net.Addr               { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)} }
func (*told) SetReadDeadline(time.Time) error    { return nil }
func (*told) SetWriteDeadline(t time.Time) error { return nil }

// FuzzH2 has a client say arbitrary frames. What net/http gets is as long as it may be, and its header blocks depend on nothing; what the client gets are whole
// answers to requests that it has made, within its windows.
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
		client := &told{says: says, piece: 1 + int(piece)}
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

// bounded reads all that net/http gets, and looks after each piece how much is held.
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
		if s := c.scratch; s != nil && (c.block.size > 3*c.server.listBytes || len(s.out) > h2Out+2*h2Body || s.count > row) {
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

// lookAtGiven decodes what net/http got.
func lookAtGiven(t *testing.T, c *h2Conn, got []byte) {
	t.Helper()
	var block []byte
	for len(got) >= frameHead {
		f := parseFrame(got)
		if len(got) < frameHead+f.length {
			return // the client has not said all
		}
		content := got[frameHead : frameHead+f.length]
		got = got[frameHead+f.length:]
		switch f.kind {
		case http2.FrameHeaders:
			if f.length > h2ReadFrame {
				return // net/http refuses it, and all that follows
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

// lookAtHeard counts the answers.
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

// continuations is a header block that does not end.
func continuations(n int) []byte {
	var b bytes.Buffer
	f := http2.NewFramer(&b, nil)
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 101, BlockFragment: []byte{0x82}}) // into memory, as all that follows
	for range n {
		_ = f.WriteContinuation(101, false, nil)
	}
	return b.Bytes()
}

// bomb is a small header block of many large fields.
func bomb() []byte {
	var b, block bytes.Buffer
	f := http2.NewFramer(&b, nil)
	e := hpack.NewEncoder(&block)
	for _, field := range getFields("/hit1") {
		_ = e.WriteField(field) // into memory, as all that follows
	}
	for range 4000 {
		_ = e.WriteField(hpack.HeaderField{Name: "x", Value: string(bytes.Repeat([]byte("v"), 4000))})
	}
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 103, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true})
	return b.Bytes()
}
