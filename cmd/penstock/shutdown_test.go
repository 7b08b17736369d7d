package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// slow is an origin that responds only after release is closed. It closes asked when a request
// arrives.
func slow(t *testing.T) (url string, asked chan struct{}, release chan struct{}) {
	t.Helper()
	asked, release = make(chan struct{}, 16), make(chan struct{})
	url = serveOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case <-release:
			io.WriteString(w, "late")
		case <-r.Context().Done():
		}
	})
	return url, asked, release
}

// outcome is the result of a request that runs in the background.
type outcome struct {
	status int
	body   string
	err    error
}

func inBackground(c *http.Client, url string) <-chan outcome {
	out := make(chan outcome, 1)
	go func() {
		resp, err := c.Get(url)
		if err != nil {
			out <- outcome{err: err}
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		out <- outcome{resp.StatusCode, string(body), err}
	}()
	return out
}

func signalSelf(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), s); err != nil {
		t.Fatal(err)
	}
}

func TestShutdownLetsRequestsEnd(t *testing.T) {
	origin, asked, release := slow(t)
	p := start(t, plain(origin))
	url, admin := p.url(), p.admin()
	result := inBackground(browser(t), url+"/")
	<-asked
	signalSelf(t, syscall.SIGTERM)
	p.await(`msg=stopping`)
	eventually(t, "new connections are refused", func() bool {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	if resp, _ := get(t, browser(t), admin+"/readyz"); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("/readyz while stopping: %s", resp.Status)
	}
	if resp, _ := get(t, browser(t), admin+"/healthz"); resp.StatusCode != http.StatusOK {
		t.Errorf("/healthz while stopping: %s", resp.Status)
	}
	close(release)
	if got := <-result; got.err != nil || got.status != http.StatusOK || got.body != "late" {
		t.Errorf("the request in flight: %+v", got)
	}
	p.exit(exitDone)
}

func TestShutdownCutsRequestsAfterDrain(t *testing.T) {
	origin, asked, release := slow(t)
	defer close(release)
	p := start(t, strings.Replace(plain(origin), "drain: 5s", "drain: 500ms", 1))
	result := inBackground(browser(t), p.url()+"/")
	<-asked
	begun := time.Now()
	p.stop()
	if got := <-result; got.err == nil {
		t.Errorf("the request in flight was answered: %+v", got)
	}
	if took := time.Since(begun); took < 400*time.Millisecond {
		t.Errorf("cut after %v", took)
	}
	p.exit(exitDone)
}

func TestSecondSignalStopsAtOnce(t *testing.T) {
	origin, asked, release := slow(t)
	defer close(release)
	p := start(t, strings.Replace(plain(origin), "drain: 5s", "drain: 1h", 1))
	result := inBackground(browser(t), p.url()+"/")
	<-asked
	signalSelf(t, syscall.SIGTERM)
	p.await(`msg=stopping`)
	signalSelf(t, syscall.SIGINT)
	p.exit(exitDone)
	if got := <-result; got.err == nil {
		t.Errorf("the request in flight was answered: %+v", got)
	}
}

func TestShutdownDelayGoesOnServing(t *testing.T) {
	p := prepare(t)
	p.write(plain(hello(t)))
	p.flags = []string{"--shutdown-delay", "1s"}
	p.run()
	c := browser(t)
	url, admin := p.url(), p.admin()
	p.stop()
	eventually(t, "/readyz reports not ready", func() bool {
		resp, _ := get(t, c, admin+"/readyz")
		return resp.StatusCode == http.StatusServiceUnavailable
	})
	if resp, body := get(t, browser(t), url+"/"); resp.StatusCode != http.StatusOK || body != "hello" {
		t.Errorf("%s %q", resp.Status, body)
	}
	p.exit(exitDone)
}

// TestShutdownAnnouncesClose checks that a client between two requests gets Connection: close,
// and is not cut off.
func TestShutdownAnnouncesClose(t *testing.T) {
	origin, asked, release := slow(t)
	p := start(t, plain(origin))
	kept, err := net.Dial("tcp", p.address(false, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	other := inBackground(browser(t), p.url()+"/other") // keeps the drain from ending
	<-asked
	fmt.Fprintf(kept, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
	<-asked
	p.stop()
	p.await(`msg=stopping`)
	close(release)
	resp, err := http.ReadResponse(bufio.NewReader(kept), nil)
	if err != nil {
		t.Fatal(err)
	}
	if body := drainBody(t, resp); body != "late" {
		t.Errorf("body %q", body)
	}
	if got := <-other; got.err != nil {
		t.Error(got.err)
	}
	p.exit(exitDone)
}

func drainBody(t *testing.T, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// echo is an origin that upgrades the connection and sends back the bytes that it receives.
func echo(t *testing.T) string {
	return serveOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
		rw.Flush()
		io.Copy(c, rw)
	})
}

// upgrade opens an upgraded connection through the gateway.
func upgrade(t *testing.T, address string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(c, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	br := bufio.NewReader(c)
	resp, err := http.ReadResponse(br, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("upgrade: %v %v", resp, err)
	}
	return c, br
}

func speak(t *testing.T, c net.Conn, br *bufio.Reader, line string) {
	t.Helper()
	fmt.Fprintln(c, line)
	if got, err := br.ReadString('\n'); err != nil || got != line+"\n" {
		t.Fatalf("sent %q, got %q, %v", line, got, err)
	}
}

func TestUpgradedConnections(t *testing.T) {
	origin := echo(t)
	p := start(t, strings.Replace(plain(origin), "drain: 5s", "drain: 700ms", 1))
	c, br := upgrade(t, p.address(false, 0))
	speak(t, c, br, "hello")

	// A reload that replaces the server leaves them open.
	p.write(strings.Replace(plain(origin), "drain: 5s", "drain: 700ms, idle: 33s", 1))
	p.await(reloaded)
	speak(t, c, br, "after the reload")

	// A stopping gateway leaves them open until the end of drain.
	begun := time.Now()
	p.stop()
	p.await(`msg=stopping`)
	speak(t, c, br, "while stopping")
	if _, err := br.ReadByte(); err == nil {
		t.Error("the connection is still open")
	}
	if took := time.Since(begun); took < 500*time.Millisecond {
		t.Errorf("closed after %v", took)
	}
	p.exit(exitDone)
}

// TestShutdownClosesWebSockets stops a gateway with an idle WebSocket and one in the middle of
// a message. Both sides of each get a close frame with status 1001 after the current frame. They do
// not hold the process for its drain of an hour.
func TestShutdownClosesWebSockets(t *testing.T) {
	goodbye := []byte{0x88, 2, 0x03, 0xe9}
	heard := make(chan []byte, 2)
	origin := serveOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
		rw.Write([]byte{0x81, 5, 'h', 'e', 'l'}) // two bytes of the frame are missing
		rw.Flush()
		first := make([]byte, 1)
		if _, err := io.ReadFull(rw, first); err != nil { // it tells that the client has received the beginning
			t.Error(err)
			return
		}
		rest, _ := io.ReadAll(io.LimitReader(rw, 7+8)) // the rest of the client's frame, and a masked close frame
		heard <- append(first, rest...)
		rw.WriteString("lo")
		rw.Flush()
	})
	p := start(t, strings.Replace(plain(origin), "drain: 5s", "drain: 1h", 1))
	c, br := upgrade(t, p.address(false, 0))
	begun := make([]byte, 5)
	if _, err := io.ReadFull(br, begun); err != nil {
		t.Fatal(err)
	}
	c.Write([]byte{0x81, 0x82, 1, 2, 3, 4, 'h' ^ 1, 'i' ^ 2})
	p.stop()
	p.await(`msg=stopping`)
	if b := <-heard; len(b) != 16 || b[8] != 0x88 || b[14]^b[10] != 0x03 || b[15]^b[11] != 0xe9 {
		t.Errorf("the origin gets %x", b)
	}
	rest, err := io.ReadAll(br)
	if err != nil || !bytes.Equal(rest, append([]byte("lo"), goodbye...)) {
		t.Errorf("the client gets %x, %v", rest, err)
	}
	c.Close()
	p.exit(exitDone)
}

func TestShutdownEndsWithTheLastUpgradedConnection(t *testing.T) {
	p := start(t, strings.Replace(plain(echo(t)), "drain: 5s", "drain: 1h", 1))
	c, br := upgrade(t, p.address(false, 0))
	speak(t, c, br, "hello")
	p.stop()
	p.await(`msg=stopping`)
	c.Close()
	p.exit(exitDone)
}

// TestShutdownLosesNoRequest stops under load. Every request on an open connection is answered, and
// the last response on a connection says that it is the last.
func TestShutdownLosesNoRequest(t *testing.T) {
	p := start(t, plain(hello(t)))
	address := p.address(false, 0)
	var clients sync.WaitGroup
	var answered atomic.Int64
	for range 8 {
		clients.Go(func() {
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			br := bufio.NewReader(c)
			for last := false; !last; answered.Add(1) {
				fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
				resp, err := http.ReadResponse(br, nil)
				if err != nil {
					t.Errorf("a request was lost: %v", err)
					return
				}
				if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "hello" {
					t.Errorf("%q, %v", body, err)
				}
				last = resp.Close
			}
		})
	}
	eventually(t, "there is load", func() bool { return answered.Load() > 200 })
	p.stop()
	clients.Wait()
	p.exit(exitDone)
}
