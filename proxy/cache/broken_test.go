package cache_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	. "github.com/penstock/penstock/test/gatewaytest"
)

// An origin that breaks off before the first byte of its body is answered for: nothing was sent yet.
func TestBodyThatNeverBegins(t *testing.T) {
	for _, control := range []string{"no-store", "max-age=60"} {
		for _, route := range []string{cached, "cache: {enabled: false}"} {
			g := Route(t, rawOrigin(t, "HTTP/1.1 200 OK\r\nCache-Control: "+control+"\r\nSet-Cookie: a=b\r\nContent-Length: 10\r\n\r\n"), route)
			r := g.Get("/")
			if r.Err != nil && route == cached && control == "max-age=60" {
				continue // it was seen to begin, and not to end
			}
			if r.Err != nil || r.Status != http.StatusBadGateway || r.Header.Get("Proxy-Status") != "penstock; error=http_response_incomplete" || r.Header.Get("Set-Cookie") != "" {
				t.Errorf("%s, %s: %d %v %v", control, route, r.Status, r.Header, r.Err)
			}
		}
	}
}

// One that breaks off after it leaves a response that can be seen to be broken, not a connection that closes without one.
func TestBodyThatBreaksOffHasAHead(t *testing.T) {
	for _, control := range []string{"no-store", "max-age=60"} {
		g := Route(t, rawOrigin(t, "HTTP/1.1 200 OK\r\nCache-Control: "+control+"\r\nContent-Length: 10\r\n\r\nhello"), cached)
		conn := g.Dial()
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", control, err)
		}
		if body, err := io.ReadAll(resp.Body); resp.StatusCode == http.StatusOK && err != io.ErrUnexpectedEOF {
			t.Errorf("%s: %d %q, %v", control, resp.StatusCode, body, err)
		}
	}
}

// A client that does not send its body in time is told so.
func TestBodyThatComesTooLate(t *testing.T) {
	o := NewOrigin(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	g := Route(t, o.URL, cached)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: g.Gateway, ReadTimeout: 200 * time.Millisecond}
	served := make(chan struct{})
	go func() { defer close(served); server.Serve(ln) }()
	defer func() { server.Close(); <-served }()
	for _, framing := range []string{"Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"} {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\n"+framing)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%q: %v", framing, err)
		}
		if resp.StatusCode != http.StatusRequestTimeout || !resp.Close {
			t.Errorf("%q: %d %v", framing, resp.StatusCode, resp.Header)
		}
	}
}
