package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestListenersComeAndGo(t *testing.T) {
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
	eventually(t, "the removed address refuses", func() bool {
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

func TestAnAddressThatIsTakenRefusesTheReload(t *testing.T) {
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

// TestSettingsApplyToAnOpenAddress changes timeouts, the header limit and h2c of one fixed address.
func TestSettingsApplyToAnOpenAddress(t *testing.T) {
	origin := hello(t)
	address := "127.0.0.1:" + freePort(t)
	p := start(t, listening(origin, `{address: "`+address+`"}`))
	h2c := newH2C(t)
	if _, err := h2c.Get("http://" + address); err == nil {
		t.Error("h2c is spoken before it is configured")
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
		t.Errorf("a request that never ends is not cut off: %v", err)
	}
}

// newH2C is a client that speaks HTTP/2 without TLS and nothing else.
func newH2C(t *testing.T) *http.Client {
	t.Helper()
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

func TestConnectionsAreLimitedAcrossListeners(t *testing.T) {
	config := listening(hello(t), `{address: "127.0.0.1:0"}`, `{address: "127.0.0.1:0"}`)
	p := start(t, strings.Replace(config, "timeouts: {", "limits: {connections: 2}\n  timeouts: {", 1))
	dial := func(n int) net.Conn {
		c, err := net.Dial("tcp", p.address(false, n))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	served := func(c net.Conn, within time.Duration) bool {
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		c.SetReadDeadline(time.Now().Add(within))
		_, err := c.Read(make([]byte, 1))
		return err == nil
	}
	first, second := dial(0), dial(1)
	if !served(first, patience) || !served(second, patience) {
		t.Fatal("within the limit, and not served")
	}
	third := dial(0)
	if served(third, 200*time.Millisecond) {
		t.Error("a connection over the limit is served")
	}
	second.Close()
	third.SetReadDeadline(time.Now().Add(patience))
	if _, err := third.Read(make([]byte, 1)); err != nil {
		t.Errorf("there is room and it is not used: %v", err)
	}
	if resp, _ := get(t, browser(t), p.admin()+"/healthz"); resp.StatusCode != http.StatusOK {
		t.Errorf("the admin listener is limited too: %s", resp.Status)
	}
}

func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wg sync.WaitGroup
		g := &gate{max: 1}
		ctx, stop := context.WithCancel(t.Context())
		var mu sync.Mutex
		inside := 0
		for range 4 {
			wg.Go(func() {
				if g.enter(ctx.Done()) {
					mu.Lock()
					defer mu.Unlock()
					inside++
				}
			})
		}
		expect := func(want int) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if inside != want {
				t.Errorf("%d inside, want %d", inside, want)
			}
		}
		expect(1)
		g.resize(3)
		expect(3)
		g.leave()
		expect(4)
		g.resize(1)
		wg.Go(func() {
			if g.enter(ctx.Done()) {
				t.Error("entered though it is full")
			}
		})
		g.leave()
		synctest.Wait()
		stop()
		wg.Wait()
	})
}
