package main

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/cmd/penstock/listen"
)

// secureListener is the configuration of a listener with a certificate for x.test and the further
// keys given.
func secureListener(t *testing.T, more string) string {
	t.Helper()
	dir := t.TempDir()
	selfSigned(t, "x.test", 1).install(t, dir, "a")
	return fmt.Sprintf(`{address: "127.0.0.1:0", tls: {certificates: [{cert: %q, key: %q}]}%s}`, filepath.Join(dir, "a.crt"), filepath.Join(dir, "a.key"), more)
}

// newH2 returns a client that speaks HTTP/2 over TLS.
func newH2(t *testing.T) *http.Client {
	t.Helper()
	tr := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

// TestH2Logged checks that the access log has hits over HTTP/2, with TLS and in clear text, in the
// same form with a wire as with net/http.
func TestH2Logged(t *testing.T) {
	for _, listener := range []string{
		secureListener(t, ", wire: true"), secureListener(t, ", wire: false"), `{address: "127.0.0.1:0", h2c: true}`, `{address: "127.0.0.1:0", h2c: true, wire: false}`,
	} {
		file := filepath.Join(t.TempDir(), "access.log")
		p := start(t, caching(storable(t, 1000), listener, "")+fmt.Sprintf("telemetry: {access_log: {output: %q, format: json}}\n", file))
		c, scheme := newH2(t), "https"
		if strings.Contains(listener, "h2c") {
			c, scheme = newH2C(t), "http"
		}
		url := scheme + "://" + p.address(false, 0) + "/a"
		eventually(t, "there is a hit", func() bool {
			resp, _ := get(t, c, url)
			return strings.Contains(resp.Header.Get("Cache-Status"), "; hit")
		})
		for range 40 {
			resp, body := get(t, c, url)
			if resp.ProtoMajor != 2 || resp.StatusCode != http.StatusOK || len(body) != 1000 || resp.ContentLength != 1000 || !strings.Contains(resp.Header.Get("Cache-Status"), "; hit") {
				t.Errorf("%v, %d bytes", resp, len(body))
			}
		}
		c.CloseIdleConnections()
		p.stop()
		p.exit(exitDone)
		p.code = nil
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		if len(lines) < 41 {
			t.Errorf("%d lines", len(lines))
		}
		var last struct {
			Protocol, Target, Scheme, Host, Cache, UserAgent string
			BytesOut                                         int `json:"bytes_out"`
		}
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
			t.Fatal(err)
		}
		if last.Protocol != "HTTP/2.0" || last.Target != "/a" || last.Scheme != scheme || last.Cache != "hit" || last.BytesOut != 1000 {
			t.Errorf("%s: %+v", listener, last)
		}
	}
}

// TestH2Drains stops a server while a connection that has had hits has a request in flight. The
// request is answered and the connection ends.
func TestH2Drains(t *testing.T) {
	for _, wired := range []bool{true, false} {
		release := make(chan struct{})
		var inside atomic.Bool
		origin := serveOrigin(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				inside.Store(true)
				<-release
			}
			w.Header().Set("Cache-Control", "max-age=600")
			_, _ = io.WriteString(w, "content") // a lost client does not matter here
		})
		p := start(t, caching(origin, secureListener(t, fmt.Sprintf(", wire: %t", wired)), ""))
		c, url := newH2(t), "https://"+p.address(false, 0)
		for range 5 {
			get(t, c, url+"/a")
		}
		done := make(chan error)
		go func() {
			resp, err := c.Get(url + "/slow")
			if err == nil {
				var body []byte
				body, err = io.ReadAll(resp.Body)
				resp.Body.Close()
				if string(body) != "content" {
					err = fmt.Errorf("%q, %v", body, err)
				}
			}
			done <- err
		}()
		eventually(t, "the request reaches the origin", inside.Load)
		p.stop()
		time.Sleep(listen.LameDuck + 100*time.Millisecond) // GOAWAY has been sent
		close(release)
		if err := <-done; err != nil {
			t.Errorf("wire %t: %v", wired, err)
		}
		p.exit(exitDone)
		p.code = nil
	}
}
