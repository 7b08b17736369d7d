package main

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/wire"
)

// secureListener is a listener with a certificate for x.test; more are further keys of it.
func secureListener(t *testing.T, more string) string {
	t.Helper()
	dir := t.TempDir()
	selfSigned(t, "x.test", 1).install(t, dir, "a")
	return fmt.Sprintf(`{address: "127.0.0.1:0", tls: {certificates: [{cert: %q, key: %q}]}%s}`, filepath.Join(dir, "a.crt"), filepath.Join(dir, "a.key"), more)
}

// newH2 is a client that speaks HTTP/2 over TLS.
func newH2(t *testing.T) *http.Client {
	t.Helper()
	tr := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

// TestH2Logged: hits over HTTP/2, under TLS and in the clear, are in the access log like those that net/http answers, with a wire and without.
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

// TestH2Drains: a server that stops answers what is under way on a connection that has had hits, and ends it.
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
			_, _ = io.WriteString(w, "content") // a client that goes is no matter here
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
		eventually(t, "the request is under way", inside.Load)
		p.stop()
		if resp, body := get(t, c, url+"/a"); resp.StatusCode != http.StatusOK || body != "content" { // lame duck
			t.Errorf("%s %q", resp.Status, body)
		}
		time.Sleep(lameDuck + 100*time.Millisecond) // GOAWAY has been sent
		close(release)
		if err := <-done; err != nil {
			t.Errorf("wire %t: %v", wired, err)
		}
		p.exit(exitDone)
		p.code = nil
	}
}

// answering is a handler that connections may answer for.
type answering struct{ http.Handler }

// Wire gives what answers nothing.
func (answering) Wire() (wire.Hot, func() time.Time) { return silent{}, nil }

type silent struct{}

func (silent) Answer(*wire.Request, *wire.Answer) bool  { return false }
func (silent) Sent(*observe.Hit)                        {}
func (silent) SameHost(string, string, *wire.Peer) bool { return false }

// TestH2HasAWire unless it is switched off, or there is no HTTP/2.
func TestH2HasAWire(t *testing.T) {
	dir := t.TempDir()
	selfSigned(t, "x.test", 1).install(t, dir, "a")
	secure := &config.ListenerTLS{Certificates: []config.Certificate{{Cert: filepath.Join(dir, "a.crt"), Key: filepath.Join(dir, "a.key")}}}
	for _, test := range []struct {
		listener config.Listener
		want     bool
	}{{config.Listener{TLS: secure, Wire: true}, true}, {config.Listener{TLS: secure}, false}, {config.Listener{Wire: true}, false},
		{config.Listener{H2C: true, Wire: true}, true}, {config.Listener{H2C: true}, false}} {
		s, err := newServer(settings{listener: test.listener}, answering{http.NotFoundHandler()}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.h2 != nil; got != test.want {
			t.Errorf("%+v: HTTP/2 has a wire: %t", test.listener, got)
		}
	}
}
