package load

import (
	"bufio"
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/test/load/program"
)

// block is what large bodies are made of: one MiB that has no pattern shorter than a page.
var block = func() []byte {
	b := make([]byte, 1<<20)
	for i := range b {
		b[i] = byte(i*7 + i>>12)
	}
	return b
}()

// largeOrigin answers /mib/N with N MiB, of known length, and /chunked/N without saying how many.
func largeOrigin(t *testing.T) string {
	mux := http.NewServeMux()
	body := func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.PathValue("n"))
		for range n {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}
	mux.HandleFunc("/mib/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.PathValue("n"))
		w.Header().Set("Cache-Control", "max-age=600")
		w.Header().Set("Content-Length", strconv.Itoa(n<<20))
		body(w, r)
	})
	mux.HandleFunc("/chunked/{n}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=600")
		body(w, r)
	})
	return serve(t, mux)
}

const streaming = `version: 1
server: {listen: [{address: "127.0.0.1:0"}]}
admin: {address: "127.0.0.1:0"}
cache: {memory: {size: 32MiB, max_object: 4MiB}}
upstreams:
  origin: {targets: ["http://ORIGIN"]}
routes:
  - {name: passed, match: {path: "/passed/*"}, upstream: origin, rewrite: {strip_prefix: /passed}}
  - {name: cached, match: {path: "/*"}, upstream: origin, cache: {enabled: true}}
`

// TestLargeObjectStreamsFlat: a body of any size goes through in a bounded amount of memory, passed or on a route that caches.
func TestLargeObjectStreamsFlat(t *testing.T) {
	mib := 1024
	if testing.Short() || program.RaceDetector {
		mib = 256
	}
	p := plainBinary.Start(t, replaceOrigin(streaming, largeOrigin(t)))
	fetch(t, p.Public(), "/mib/1")
	before := p.PeakMemory()
	var all sync.WaitGroup
	for _, path := range []string{"/mib/%d", "/mib/%d", "/chunked/%d", "/passed/mib/%d"} {
		all.Go(func() {
			path := fmt.Sprintf(path, mib/4)
			if n, err := read(p.Public(), path); err != nil || n != int64(mib/4)<<20 {
				t.Errorf("%s: %d bytes, %v", path, n, err)
			}
		})
	}
	all.Wait()
	path := fmt.Sprintf("/mib/%d", mib)
	if n, err := read(p.Public(), path); err != nil || n != int64(mib)<<20 {
		t.Errorf("%s: %d bytes, %v", path, n, err)
	}
	grown := p.PeakMemory() - before
	t.Logf("%d MiB went through, the process grew by %d MiB", 2*mib, grown>>20)
	if grown > 64<<20 {
		t.Errorf("the gateway took %d MiB more", grown>>20)
	}
}

func replaceOrigin(config, origin string) string {
	return string(bytes.ReplaceAll([]byte(config), []byte("ORIGIN"), []byte(origin)))
}

func fetch(t *testing.T, addr, path string) {
	t.Helper()
	if n, err := read(addr, path); err != nil || n == 0 {
		t.Fatalf("%s: %d bytes, %v", path, n, err)
	}
}

// read reads an answer to its end and checks each MiB of it.
func read(addr, path string) (n int64, err error) {
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://" + addr + path)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s", resp.Status)
	}
	want, buf := crc32.ChecksumIEEE(block), make([]byte, len(block))
	for {
		got, err := io.ReadFull(resp.Body, buf)
		n += int64(got)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if crc32.ChecksumIEEE(buf) != want {
			return n, fmt.Errorf("the MiB before byte %d is not as the origin sent it", n)
		}
	}
}

// TestSlowClientHarmsNobody: clients that read a kilobyte a second, of what is stored, of what is being filled and of what is too large to
// keep, cost the others nothing.
func TestSlowClientHarmsNobody(t *testing.T) {
	t.Parallel()
	p := gatewayBinary.Start(t, replaceOrigin(streaming, largeOrigin(t)))
	fetch(t, p.Public(), "/mib/1")
	stop := make(chan struct{})
	var slow sync.WaitGroup
	for _, path := range []string{"/mib/1", "/mib/3", "/chunked/3", "/mib/32", "/chunked/32", "/passed/mib/32"} {
		c := begin(t, p.Public(), path)
		slow.Go(func() { trickle(c, stop) })
	}
	for _, path := range []string{"/mib/1", "/mib/3", "/chunked/3", "/mib/32", "/chunked/32", "/passed/mib/32"} {
		begun := time.Now()
		done := make(chan error, 1)
		go func() {
			_, err := read(p.Public(), path)
			done <- err
		}()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("%s: %v", path, err)
			}
		case <-time.After(patience):
			t.Errorf("%s: not there after %v, a slow client reads it too", path, time.Since(begun))
		}
	}
	close(stop)
	slow.Wait()
}

// begin asks, with a small window, and returns when the answer has begun.
func begin(t *testing.T, addr, path string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(patience))
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, addr)
	if _, err := bufio.NewReaderSize(c, 16).ReadByte(); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return c
}

// trickle reads a kilobyte a second.
func trickle(c net.Conn, stop <-chan struct{}) {
	buf := make([]byte, 100)
	for {
		select {
		case <-stop:
			c.Close()
			return
		case <-time.After(100 * time.Millisecond):
			c.SetReadDeadline(time.Now().Add(time.Second))
			if _, err := c.Read(buf); err != nil {
				return
			}
		}
	}
}
