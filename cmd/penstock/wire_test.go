package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// caching is a configuration with a route that stores responses and has the given further keys.
func caching(origin, listen, keys string) string {
	return strings.Replace(listening(origin, listen), `    upgrade: websocket
`, "    cache: {enabled: true}\n"+keys, 1)
}

// storable starts an origin whose response body has the given number of bytes.
func storable(t *testing.T, size int) string {
	return serveOrigin(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=600")
		_, _ = io.WriteString(w, strings.Repeat("x", size))
	})
}

// line is a client's persistent connection.
type line struct {
	net.Conn
	t  *testing.T
	br *bufio.Reader
}

func open(t *testing.T, c net.Conn, err error) *line {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &line{c, t, bufio.NewReader(c)}
}

// ask sends the given number of requests at once, reads as many responses, and returns the last one
// and its body.
func (l *line) ask(times int) (*http.Response, string) {
	l.t.Helper()
	fmt.Fprint(l, strings.Repeat("GET /a HTTP/1.1\r\nHost: x.test\r\n\r\n", times))
	var resp *http.Response
	var body string
	for range times {
		var err error
		if resp, err = http.ReadResponse(l.br, nil); err != nil {
			l.t.Fatal(err)
		}
		body = drainBody(l.t, resp)
	}
	return resp, body
}

// hit repeats the request until the response comes from the store.
func (l *line) hit() (*http.Response, string) {
	l.t.Helper()
	var resp *http.Response
	var body string
	eventually(l.t, "there is a hit", func() bool {
		resp, body = l.ask(1)
		return strings.Contains(resp.Header.Get("Cache-Status"), "; hit")
	})
	return resp, body
}

// TestHitsOverTLS requests bodies of several sizes, one at a time and pipelined, on one connection,
// and over HTTP/2 on another.
func TestHitsOverTLS(t *testing.T) {
	dir := t.TempDir()
	selfSigned(t, "x.test", 1).install(t, dir, "a")
	listen := fmt.Sprintf(`{address: "127.0.0.1:0", tls: {certificates: [{cert: %q, key: %q}]}}`, filepath.Join(dir, "a.crt"), filepath.Join(dir, "a.key"))
	for _, size := range []int{0, 1000, 10_000, 300_000} {
		p := start(t, caching(storable(t, size), listen, ""))
		c, err := tls.Dial("tcp", p.address(false, 0), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
		l := open(t, c, err)
		l.hit()
		for _, times := range []int{1, 1, 40} {
			if resp, body := l.ask(times); resp.StatusCode != http.StatusOK || len(body) != size || resp.Header.Get("Age") == "" {
				t.Errorf("%d bytes: %v, %d bytes", size, resp, len(body))
			}
		}
		tr := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		defer tr.CloseIdleConnections()
		if resp, body := get(t, &http.Client{Transport: tr, Timeout: patience}, "https://"+p.address(false, 0)+"/a"); resp.ProtoMajor != 2 || len(body) != size {
			t.Errorf("%s with %d of %d bytes", resp.Proto, len(body), size)
		}
	}
}

// TestPlainHTTPToTLS checks that a client that speaks HTTP to an HTTPS port gets an explanation.
func TestPlainHTTPToTLS(t *testing.T) {
	dir := t.TempDir()
	selfSigned(t, "a.test", 1).install(t, dir, "a")
	selfSigned(t, "b.test", 2).install(t, dir, "b")
	c, err := net.Dial("tcp", secure(t, dir).address(false, 0))
	l := open(t, c, err)
	if resp, body := l.ask(1); resp.StatusCode != http.StatusBadRequest || !strings.Contains(body, "HTTPS") {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
}

// TestHitsObeyTheConfigurationInForce keeps a connection open over a reload.
func TestHitsObeyTheConfigurationInForce(t *testing.T) {
	origin := storable(t, 100)
	listen := `{address: "127.0.0.1:0"}`
	p := start(t, caching(origin, listen, ""))
	c, err := net.Dial("tcp", p.address(false, 0))
	l := open(t, c, err)
	l.hit()
	l.ask(10)
	p.write(strings.Replace(caching(origin, listen, ""), `path: "/*"`, `path: "/b/*"`, 1))
	p.await(`configuration reloaded`)
	if resp, _ := l.ask(1); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a removed route answers %d", resp.StatusCode)
	}
	p.write(caching(origin, listen, ""))
	eventually(t, "the route is back", func() bool {
		resp, _ := l.ask(1)
		return resp.StatusCode == http.StatusOK
	})
	l.hit()
}

// TestShutdownClosesConnectionsWithHits checks that a connection that has had only hits gets
// Connection: close when the server stops, and ends.
func TestShutdownClosesConnectionsWithHits(t *testing.T) {
	for _, wire := range []bool{true, false} {
		t.Run(fmt.Sprintf("wire: %t", wire), func(t *testing.T) {
			p := start(t, caching(storable(t, 100), fmt.Sprintf(`{address: "127.0.0.1:0", wire: %t}`, wire), ""))
			c, err := net.Dial("tcp", p.address(false, 0))
			busy := open(t, c, err)
			c, err = net.Dial("tcp", p.address(false, 0))
			idle := open(t, c, err)
			busy.hit()
			idle.hit()
			idle.ask(3)
			p.stop()
			for {
				resp, _ := busy.ask(1)
				if resp.Close {
					break
				}
			}
			if _, err := busy.br.ReadByte(); err != io.EOF {
				t.Errorf("the connection goes on: %v", err)
			}
			if _, err := idle.br.ReadByte(); err != io.EOF {
				t.Errorf("the idle connection: %v", err)
			}
			p.exit(exitDone)
		})
	}
}
