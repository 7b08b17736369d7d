package snapshot_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2Batch is how many requests an h2Repeater makes at once.
const h2Batch = 10

// h2Repeater is a client's connection that makes the same request on so many streams at once, again
// and again, and then ends.
type h2Repeater struct {
	repeater
	says   []byte // that it has not said
	batch  []byte
	heads  []int // where in batch the requests begin
	stream uint32
	heard  atomic.Int64 // since the last requests
}

func newH2Repeater(path string, fields []string) *h2Repeater {
	c := &h2Repeater{stream: 1}
	var b, block bytes.Buffer
	b.WriteString(http2.ClientPreface)
	f := http2.NewFramer(&b, nil) // into memory, so nothing below fails
	_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	_ = f.WriteWindowUpdate(0, 1<<30)
	e := hpack.NewEncoder(&block)
	write := func() {
		block.Reset()
		list := []hpack.HeaderField{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http"}, {Name: ":authority", Value: "example.com"},
			{Name: ":path", Value: path, Sensitive: true}} // clients don't put it into the table
		for i := 0; i < len(fields); i += 2 {
			list = append(list, hpack.HeaderField{Name: strings.ToLower(fields[i]), Value: strings.TrimSpace(fields[i+1])})
		}
		for _, field := range list {
			_ = e.WriteField(field)
		}
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true})
	}
	write() // what follows refers to it
	c.says = bytes.Clone(b.Bytes())
	b.Reset()
	_ = f.WriteWindowUpdate(0, 1)
	for range h2Batch {
		c.heads = append(c.heads, b.Len())
		write()
	}
	c.batch = b.Bytes()
	return c
}

func (c *h2Repeater) Read(p []byte) (int, error) {
	if len(c.says) == 0 && c.left > 0 {
		c.left--
		binary.BigEndian.PutUint32(c.batch[9:], uint32(max(c.heard.Swap(0), 1)))
		for _, at := range c.heads {
			c.stream += 2
			binary.BigEndian.PutUint32(c.batch[at+5:], c.stream)
		}
		c.says = c.batch
	}
	if len(c.says) == 0 {
		return c.repeater.Read(p)
	}
	n := copy(p, c.says)
	c.says = c.says[n:]
	return n, nil
}

func (c *h2Repeater) Write(p []byte) (int, error) {
	c.heard.Add(int64(len(p)))
	return len(p), nil
}

func (*h2Repeater) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (*h2Repeater) SetDeadline(time.Time) error      { return nil }
func (*h2Repeater) SetWriteDeadline(time.Time) error { return nil }

// TestH2HitsAllocateOneString each: the path, which clients don't put into the table, is made by
// the decoder.
func TestH2HitsAllocateOneString(t *testing.T) {
	for _, c := range hitCases {
		var told tally
		g, server := wiredGateway(t, c.size, &told)
		h2 := server.AttachH2(&http.Server{Handler: g})
		warm(t, g, c.path, c.fields...)
		serve := func(batches int) float64 {
			return testing.AllocsPerRun(5, func() {
				client := newH2Repeater(c.path, c.fields)
				client.left = batches
				h2.Serve(client)
			})
		}
		serve(200) // the first thousand of a route are looked at closely
		if each := (serve(400) - serve(200)) / (200 * h2Batch); each > 1.1 && !underRace {
			t.Errorf("%s: a hit allocates %.2f times", c.name, each)
		}
	}
}

// BenchmarkH2Hit is a hit over HTTP/2 without the socket.
func BenchmarkH2Hit(b *testing.B) {
	for _, c := range hitCases {
		b.Run(c.name, func(b *testing.B) {
			var told tally
			g, server := wiredGateway(b, c.size, &told)
			h2 := server.AttachH2(&http.Server{Handler: g})
			warm(b, g, c.path, c.fields...)
			client := newH2Repeater(c.path, c.fields)
			client.left = max(b.N/h2Batch, 1)
			want := client.left*h2Batch + 1
			told.hits = 0
			b.ReportAllocs()
			b.ResetTimer()
			h2.Serve(client)
			if told.hits != want {
				b.Fatalf("%d of %d hits", told.hits, want)
			}
		})
	}
}
