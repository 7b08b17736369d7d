package wire

import (
	"bytes"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// TestH2Attacks checks that each attack ends the connection with the same error as net/http's.
func TestH2Attacks(t *testing.T) {
	headers := func(id uint32, block []byte) []byte {
		return append(frame{length: len(block), kind: http2.FrameHeaders, flags: http2.FlagHeadersEndHeaders | http2.FlagHeadersEndStream, stream: id}.append(nil), block...)
	}
	hit := headers(1, append([]byte{0x82, 0x86, 0x01, 1, 'h'}, 0x04, 5, '/', 'h', 'i', 't', '1')) // :method, :scheme, :authority, :path
	f := serveH2(t, slow, nil)
	var ends []func()
	var saying sync.WaitGroup
	for name, test := range map[string]struct {
		says []byte
		want http2.ErrCode
	}{
		"CONTINUATION without end":             {continuations(10_000), http2.ErrCodeProtocol},
		"CONTINUATION of another stream":       {append(continuations(0), frame{kind: http2.FrameContinuation, stream: 103}.append(nil)...), http2.ErrCodeProtocol},
		"CONTINUATION of nothing":              {frame{kind: http2.FrameContinuation, stream: 103}.append(nil), http2.ErrCodeProtocol},
		"another frame in a block":             {append(continuations(0), frame{kind: http2.FramePing, length: 8}.append(nil)...), http2.ErrCodeProtocol},
		"a block that can't be decoded":        {headers(1, []byte{0x80}), http2.ErrCodeCompression},
		"a block that is cut off":              {headers(1, []byte{0x00, 10, 'x'}), http2.ErrCodeCompression},
		"an index beyond the table":            {headers(1, []byte{0xff, 0x20}), http2.ErrCodeCompression},
		"a table that is too large":            {headers(1, []byte{0x3f, 0xff, 0xff, 0x03}), http2.ErrCodeCompression},
		"HEADERS on no stream":                 {headers(0, []byte{0x82}), http2.ErrCodeProtocol},
		"HEADERS on an even stream":            {headers(2, hit[frameHead:]), http2.ErrCodeProtocol},
		"a stream again, which was answered":   {append(bytes.Clone(hit), hit...), http2.ErrCodeProtocol},
		"DATA on a stream that was answered":   {append(bytes.Clone(hit), frame{kind: http2.FrameData, length: 0, stream: 1}.append(nil)...), http2.ErrCodeProtocol},
		"padding larger than its frame":        {append(frame{length: 2, kind: http2.FrameHeaders, flags: http2.FlagHeadersPadded | http2.FlagHeadersEndHeaders, stream: 1}.append(nil), 9, 0x82), http2.ErrCodeProtocol},
		"WINDOW_UPDATE of nothing":             {append(frame{length: 4, kind: http2.FrameWindowUpdate}.append(nil), 0, 0, 0, 0), http2.ErrCodeProtocol},
		"a window above the maximum":           {bytes.Repeat(appendWindowUpdate(nil, windowMost), 2), http2.ErrCodeFlowControl},
		"RST_STREAM of a stream not opened":    {append(frame{length: 4, kind: http2.FrameRSTStream, stream: 9}.append(nil), 0, 0, 0, 0), http2.ErrCodeProtocol},
		"WINDOW_UPDATE of a stream not opened": {append(frame{length: 4, kind: http2.FrameWindowUpdate, stream: 9}.append(nil), 0, 0, 0, 1), http2.ErrCodeProtocol},
		"a frame that is too large":            {frame{length: h2ReadFrame + 1, kind: http2.FrameHeaders, stream: 1}.append(nil), http2.ErrCodeFrameSize},
		"PUSH_PROMISE":                         {append(frame{length: 5, kind: http2.FramePushPromise, flags: http2.FlagPushPromiseEndHeaders, stream: 1}.append(nil), 0, 0, 0, 2, 0x82), http2.ErrCodeProtocol},
		"a setting that may not be":            {append(frame{length: 6, kind: http2.FrameSettings}.append(nil), 0, 4, 0xff, 0xff, 0xff, 0xff), http2.ErrCodeFlowControl},
	} {
		c := f.dial()
		c.give(1 << 20)
		c.streams[1] = windowInitial
		c.lazy = -1 // the connection may have ended
		saying.Go(func() {
			_, _ = c.Write(test.says) // the write may be cut off
		})
		ends = append(ends, func() {
			if g := c.end(); g == nil || g.ErrCode != test.want {
				t.Errorf("%s: it ends with %v, want %v", name, g, test.want)
			}
		})
	}
	for _, end := range ends { // net/http waits for a second before it closes
		end()
	}
	saying.Wait()
}

// TestH2Bomb checks that a header that is too large is answered with 431, as without a wire, and
// that the connection continues. A header that is far too large ends the connection.
func TestH2Bomb(t *testing.T) {
	f := serveH2(t, slow, func(s *http.Server) { s.MaxHeaderBytes = 8 << 10 })
	c := f.dial()
	c.give(1 << 20)
	id := c.open(true, getFields("/hit1", "x", strings.Repeat("v", 3000), "x", strings.Repeat("v", 3000), "x", strings.Repeat("v", 3000), "y", "1"))
	c.await(id)
	if r := c.replies[id]; r.status != "431" {
		t.Errorf("%+v", r)
	}
	if r := c.ask("/hit1", "y", "1"); !r.hit() { // the table is still in step
		t.Errorf("%+v", r)
	}
	c.streams[103] = windowInitial
	if _, err := c.Write(bomb()); err != nil {
		t.Fatal(err)
	}
	for !c.reply(103).ended && c.goAway == nil {
		c.must(c.read())
	}
	if r := c.replies[103]; c.goAway == nil && r.status != "431" {
		t.Errorf("%+v", r)
	}
	c.Close()
}

// TestH2Resets opens streams and cancels them at once. The connection must continue or end, at a
// limited cost.
func TestH2Resets(t *testing.T) {
	f := serveH2(t, slow, nil)
	for _, target := range []string{"/hit10", "/slow10"} {
		c := f.dial()
		c.give(1 << 20)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 5000 {
				block := c.encode(getFields(target))
				if c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: c.next, BlockFragment: block, EndStream: true, EndHeaders: true}) != nil ||
					c.framer.WriteRSTStream(c.next, http2.ErrCodeCancel) != nil {
					return
				}
				c.next += 2
			}
			c.next += 2
			// The connection may have ended.
			_ = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: c.next, BlockFragment: c.encode(getFields("/hit7")), EndStream: true, EndHeaders: true})
		}()
		reader := http2.NewFramer(c, c)
		reader.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		for last := uint32(1 + 2*5001); ; {
			fr, err := reader.ReadFrame()
			if err != nil {
				break
			}
			if fr.Header().StreamID == last && fr.Header().Flags.Has(http2.FlagDataEndStream) {
				break
			}
		}
		c.Close()
		<-done
	}
}

// TestH2Pings checks that pings of a client that does not read the replies end with the connection.
func TestH2Pings(t *testing.T) {
	f := serveH2(t, slow, func(s *http.Server) { s.WriteTimeout = time.Second })
	c := f.dial()
	begin := time.Now()
	for flood := bytes.Repeat(append(frame{length: 8, kind: http2.FramePing}.append(nil), 1, 2, 3, 4, 5, 6, 7, 8), 1000); ; {
		if _, err := c.Write(flood); err != nil {
			break
		}
	}
	if time.Since(begin) > h2Patience/2 {
		t.Error("it went on")
	}
}

// TestH2Settings checks that the server obeys many SETTINGS and answers a hit after them, and that
// an endless series of them is a flood.
func TestH2Settings(t *testing.T) {
	f := serveH2(t, slow, nil)
	c := f.dial()
	c.give(1 << 20)
	if _, err := c.Write(bytes.Repeat(frame{kind: http2.FrameSettings}.append(nil), 1_000)); err != nil {
		t.Fatal(err)
	}
	if r := c.ask("/hit1"); !r.hit() {
		t.Errorf("%+v", r)
	}
	c.Close()
}

// TestH2Waiting checks that an idle connection takes little memory.
func TestH2Waiting(t *testing.T) {
	const conns = 300
	f := serveH2(t, slow, nil)
	var before, after runtime.MemStats
	open := make([]*h2Client, conns)
	for i := range open {
		open[i] = f.dial()
		open[i].give(1 << 20)
		open[i].ask("/hit100")
		if i == conns/3 {
			runtime.GC()
			runtime.ReadMemStats(&before)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	grown := int64(after.HeapAlloc+after.StackInuse) - int64(before.HeapAlloc+before.StackInuse)
	// Includes the client, which runs in the same process, and net/http.
	if each := grown / (conns - conns/3); each > 100<<10 {
		t.Errorf("%d bytes each", each)
	}
	for _, c := range open {
		c.Close()
	}
}
