package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// TestStreamsOverAShutdown opens a stream every 3 ms, for hits and for misses, until GOAWAY
// arrives. The server answers each stream, except those after the last stream that GOAWAY names. On
// a wire the first GOAWAY names no last stream, so all streams are answered (RFC 9113 section 6.8).
func TestStreamsOverAShutdown(t *testing.T) {
	for _, wired := range []bool{true, false} {
		t.Run(fmt.Sprintf("wire %t", wired), func(t *testing.T) {
			origin := serveOrigin(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/a" {
					w.Header().Set("Cache-Control", "max-age=600")
				} else {
					w.Header().Set("Cache-Control", "no-store")
				}
				_, _ = io.WriteString(w, "content")
			})
			p := start(t, caching(origin, secureListener(t, fmt.Sprintf(", wire: %t", wired)), ""))
			c := dialStreams(t, p.address(false, 0))
			for i := 0; i < 20 || !c.told(); i++ {
				c.open(t, []string{"/a", "/b"}[i%2])
				if i == 20 {
					p.stop()
				}
				time.Sleep(3 * time.Millisecond)
			}
			c.wait(t)
			p.exit(exitDone)
			p.code = nil
			if wired && c.goAways[0] != 1<<31-1 {
				t.Errorf("the first GOAWAY names stream %d", c.goAways[0])
			}
			last := c.goAways[len(c.goAways)-1]
			for id := uint32(1); id < c.next; id += 2 {
				if !c.answered[id] && (wired || id <= last) {
					t.Errorf("stream %d has no answer; GOAWAY names %v", id, c.goAways)
				}
			}
		})
	}
}

// streams is a client's HTTP/2 connection on which a test opens streams.
type streams struct {
	framer *http2.Framer
	conn   *tls.Conn
	ended  chan struct{}
	next   uint32

	mu       sync.Mutex
	answered map[uint32]bool
	goAways  []uint32
}

func dialStreams(t *testing.T, address string) *streams {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	c := &streams{framer: http2.NewFramer(conn, conn), conn: conn, ended: make(chan struct{}), next: 1, answered: map[uint32]bool{}}
	if err := c.framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	go c.read()
	return c
}

// read records the received frames until the connection ends.
func (c *streams) read() {
	defer close(c.ended)
	for {
		f, err := c.framer.ReadFrame()
		if err != nil {
			return
		}
		c.mu.Lock()
		switch f := f.(type) {
		case *http2.DataFrame:
			c.answered[f.StreamID] = c.answered[f.StreamID] || f.StreamEnded()
		case *http2.HeadersFrame:
			c.answered[f.StreamID] = c.answered[f.StreamID] || f.StreamEnded()
		case *http2.GoAwayFrame:
			c.goAways = append(c.goAways, f.LastStreamID)
		}
		c.mu.Unlock()
	}
}

// told reports whether a GOAWAY has arrived.
func (c *streams) told() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.goAways) > 0
}

// open opens the next stream. It returns an error if the server has closed the connection.
func (c *streams) open(t *testing.T, path string) {
	t.Helper()
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "x.test"}, {":path", path}} {
		if err := e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: c.next, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
		t.Fatalf("the connection ended before GOAWAY was read: %v", err)
	}
	c.next += 2
}

// wait waits until the server has ended the connection.
func (c *streams) wait(t *testing.T) {
	t.Helper()
	select {
	case <-c.ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the server did not end the connection")
	}
}
