package field

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/test/gatewaytest"
)

// uploadSize is more than the buffers between a client and the gateway hold.
const uploadSize = 12 << 20

// writesFirst sends a head and content before it reads, as Python's http.client does. It returns the status that it reads then.
func writesFirst(t *testing.T, w *wayIn, head string, content func(io.Writer) error) (status int, err error) {
	t.Helper()
	nc := w.dial(t)
	defer nc.Close()
	if _, err = io.WriteString(nc, head); err == nil {
		err = content(nc)
	}
	if err != nil {
		return 0, fmt.Errorf("sending: %w", err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		return 0, fmt.Errorf("reading: %w", err)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// plainContent writes n bytes.
func plainContent(w io.Writer) error {
	_, err := io.CopyN(w, zeros{}, uploadSize)
	return err
}

// chunkedContent writes n bytes in chunks.
func chunkedContent(w io.Writer) error {
	piece := "10000\r\n" + strings.Repeat("x", 0x10000) + "\r\n"
	for range uploadSize / 0x10000 {
		if _, err := io.WriteString(w, piece); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, "0\r\n\r\n")
	return err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestClientsThatWriteFirstSeeAnEarlyAnswer: the gateway's and the origin's, whatever the client still has to send.
func TestClientsThatWriteFirstSeeAnEarlyAnswer(t *testing.T) {
	origin := gatewaytest.NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden) // before the body
	})
	hasty := hastyOrigin(t)
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	ways := waysIn(t, "  limits: {body_bytes: 1GiB}\nupstreams:\n  origin: {targets: [\""+origin.URL+"\"]}\n  hasty: {targets: [\"http://"+hasty+"\"]}\n"+
		"  gone: {targets: [\"http://"+gone.Addr().String()+"\"]}\nroutes:\n"+
		"  - {name: small, match: {path: /small/*}, upstream: origin, limits: {body_bytes: 1000}}\n"+
		"  - {name: read, match: {path: /read, methods: [GET]}, upstream: origin}\n"+
		"  - {name: gone, match: {path: /gone}, upstream: gone}\n"+
		"  - {name: hasty, match: {path: /hasty}, upstream: hasty}\n"+
		"  - {name: early, match: {path: /early}, upstream: origin}\n")
	sized, chunked := fmt.Sprintf("Content-Length: %d\r\n", uploadSize), "Transfer-Encoding: chunked\r\n"
	for _, tt := range []struct {
		name, path, fields string
		want               int
	}{
		{"too large", "/small/a", sized, 413},
		{"too large, in chunks", "/small/a", chunked, 413},
		{"a path that there is not", "/none", sized, 404},
		{"a path that there is not, in chunks", "/none", chunked, 404},
		{"a method that there is not", "/read", sized, 405},
		{"an origin that is gone", "/gone", sized, 502},
		{"an origin that answers first", "/early", sized, 403},
		{"an origin that answers first, in chunks", "/early", chunked, 403},
		{"an origin that answers first and hangs up", "/hasty", sized, 401},
		{"a target that is malformed", "/a%", sized, 400},
		{"an expectation that can't be met", "/early", sized + "Expect: more\r\n", 417},
		{"a transfer coding that there is not", "/early", "Transfer-Encoding: gzip\r\n", 501},
		{"length and coding", "/early", sized + chunked, 400},
		{"a length that is none", "/early", "Content-Length: -1\r\n", 400},
		{"chunks that are none", "/small/a", chunked + "\r\nx", 400},
		{"a large head", "/early", "X: " + strings.Repeat("x", 200_000) + "\r\n" + sized, 431},
		{"another version", "/early HTTP/3.0\r\nX:", sized, 505},
	} {
		content := plainContent
		if tt.fields == chunked {
			content = chunkedContent
		}
		for _, w := range ways {
			got, err := writesFirst(t, &w, "POST "+tt.path+" HTTP/1.1\r\nHost: a.example\r\n"+tt.fields+"\r\n", content)
			if err != nil || got != tt.want {
				t.Errorf("%s: %s: %d, %v instead of %d", w.name, tt.name, got, err, tt.want)
			}
		}
	}
}

// TestClientsThatSendOnHoldNothing: neither the place of another client, nor the end of the gateway.
func TestClientsThatSendOnHoldNothing(t *testing.T) {
	p := gateway.Start(t, "version: 1\nserver:\n  listen: [{address: \"127.0.0.1:0\"}]\n  limits: {connections: 1}\n  timeouts: {drain: 5m}\nadmin: {address: \"127.0.0.1:0\"}\n"+
		"upstreams:\n  origin: {targets: [\"http://127.0.0.1:1\"]}\nroutes:\n  - {name: small, match: {path: /small}, upstream: origin, limits: {body_bytes: 1000}}\n")
	w := wayIn{"plain", p.Public(), false}
	sendOn := func() (ended chan struct{}) {
		nc := w.dial(t)
		if _, err := fmt.Fprintf(nc, "POST /small HTTP/1.1\r\nHost: a.example\r\nContent-Length: %d\r\n\r\n", 1<<30); err != nil {
			t.Fatal(err)
		}
		if resp, err := http.ReadResponse(bufio.NewReader(nc), nil); err != nil || resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Fatalf("%v, %v", resp, err)
		}
		ended = make(chan struct{})
		go func() {
			defer close(ended)
			for tick := time.Tick(10 * time.Millisecond); ; <-tick {
				if _, err := nc.Write([]byte("more")); err != nil {
					return
				}
			}
		}()
		return ended
	}
	ended := sendOn()
	if got := w.answers(t, "GET /none HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n", 1); got[0] != "404" {
		t.Errorf("another client: %q", got)
	}
	<-ended
	ended = sendOn()
	p.Signal(syscall.SIGTERM)
	if code := p.Exit(); code != 0 {
		t.Errorf("the gateway ended with %d", code)
	}
	<-ended
}

// hastyOrigin is one that answers as soon as the head has come, and closes the connection.
func hastyOrigin(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				br := bufio.NewReader(c)
				for line := "-"; strings.TrimSpace(line) != ""; {
					if line, err = br.ReadString('\n'); err != nil {
						return
					}
				}
				_, _ = io.WriteString(c, "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\nConnection: close\r\n\r\n") // the gateway may have gone
				_, _ = io.CopyN(io.Discard, br, 1<<20)
			}()
		}
	}()
	return ln.Addr().String()
}
