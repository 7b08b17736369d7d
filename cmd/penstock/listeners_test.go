package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestReloadAddsAndRemovesListeners(t *testing.T) {
	origin, asked, release := slow(t)
	one := "127.0.0.1:" + freePort(t)
	two := "127.0.0.1:" + freePort(t)
	p := start(t, listening(origin, `{address: "`+one+`"}`))
	inFlight := inBackground(browser(t), "http://"+one+"/")
	<-asked

	p.write(listening(origin, `{address: "`+one+`"}`, `{address: "`+two+`"}`))
	p.await(reloaded)
	second := inBackground(browser(t), "http://"+two+"/")
	<-asked

	p.write(listening(origin, `{address: "`+two+`"}`))
	p.await(`no longer listening`)
	eventually(t, "the removed address refuses connections", func() bool {
		c, err := net.Dial("tcp", one)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	close(release)
	for name, result := range map[string]<-chan outcome{"removed": inFlight, "added": second} {
		if got := <-result; got.err != nil || got.body != "late" {
			t.Errorf("the request in flight on the %s address: %+v", name, got)
		}
	}
}

func TestReloadFailsIfAnAddressIsInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	origin := hello(t)
	p := start(t, plain(origin))
	c := browser(t)
	free := "127.0.0.1:" + freePort(t)
	next := listening(origin, `{address: "127.0.0.1:0"}`, `{address: "`+free+`"}`, `{address: "`+taken.Addr().String()+`"}`)
	p.write(strings.Replace(next, "${MARK:-none}", "next", 1))
	p.await(`cannot listen on ` + taken.Addr().String())
	p.await(`stays in force`)
	if got := p.mark(c); got != "none" {
		t.Errorf("mark %q", got)
	}
	if c, err := net.Dial("tcp", free); err == nil {
		c.Close()
		t.Error("an address of the refused configuration is open")
	}
}

// TestSettingsApplyToAnOpenAddress changes timeouts, the header limit and h2c of an address that
// stays open.
func TestSettingsApplyToAnOpenAddress(t *testing.T) {
	origin := hello(t)
	address := "127.0.0.1:" + freePort(t)
	p := start(t, listening(origin, `{address: "`+address+`"}`))
	h2c := newH2C(t)
	if _, err := h2c.Get("http://" + address); err == nil {
		t.Error("h2c works before it is configured")
	}
	next := listening(origin, `{address: "`+address+`", h2c: true}`)
	p.write(strings.Replace(next, "timeouts: {", "limits: {header_bytes: 1KiB}\n  timeouts: {read_header: 200ms, ", 1))
	p.await(reloaded)

	if resp, body := get(t, h2c, "http://"+address); resp.ProtoMajor != 2 || body != "hello" {
		t.Errorf("h2c: %s %q", resp.Proto, body)
	}
	req, err := http.NewRequest(http.MethodGet, "http://"+address, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Long", strings.Repeat("x", 10_000))
	resp, err := browser(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if drain(t, resp); resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a long header: %s", resp.Status)
	}
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, "GET / HTTP/1.1\r\nHost:")
	if _, err := io.ReadAll(c); err != nil {
		t.Errorf("an unfinished request is not cut off: %v", err)
	}
}

// newH2C returns a client that speaks only HTTP/2 without TLS.
func newH2C(t *testing.T) *http.Client {
	t.Helper()
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

// TestConnectionsAreLimitedAcrossListeners fills a limit of two with an idle connection and a
// connection that has a request in flight. Only the idle one is closed for a third client.
// TestTheLongestIdleGoesFirst checks which of several idle connections goes first: a client cannot
// see when the gateway has noticed that its connection is idle.
func TestConnectionsAreLimitedAcrossListeners(t *testing.T) {
	held := make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	arrived := make(chan struct{})
	origin := serveOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/held" {
			close(arrived)
			<-held
		}
		io.WriteString(w, "hello")
	})
	t.Cleanup(release)
	config := listening(origin, `{address: "127.0.0.1:0"}`, `{address: "127.0.0.1:0"}`)
	p := start(t, strings.Replace(config, "timeouts: {", "limits: {connections: 2}\n  timeouts: {", 1))
	ask := func(n int, path string) net.Conn {
		c, err := net.Dial("tcp", p.address(false, n))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(patience))
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
		return c
	}
	served := func(c net.Conn) bool {
		_, err := c.Read(make([]byte, 1))
		return err == nil
	}
	idle := ask(0, "/")
	if !served(idle) {
		t.Fatal("a connection within the limit is not served")
	}
	busy := ask(1, "/held")
	<-arrived
	if third := ask(0, "/"); !served(third) {
		t.Error("an idle connection was not closed for a new client")
	}
	if _, err := io.Copy(io.Discard, idle); err != nil {
		t.Errorf("the idle connection is not closed: %v", err)
	}
	release()
	if !served(busy) {
		t.Error("the connection with a request in flight was closed")
	}
	if resp, _ := get(t, browser(t), p.admin()+"/healthz"); resp.StatusCode != http.StatusOK {
		t.Errorf("the admin listener is limited too: %s", resp.Status)
	}
}
