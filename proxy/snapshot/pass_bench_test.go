package snapshot_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy"
	"github.com/penstock/penstock/proxy/wire"
)

// cannedOrigin answers whatever it reads with the same bytes, so that what a benchmark counts is
// the gateway's.
func cannedOrigin(b *testing.B, size int) string {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ln.Close() })
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: public, max-age=3600\r\nETag: \"abc\"\r\n" +
		fmt.Sprintf("Content-Length: %d\r\n\r\n", size) + strings.Repeat("x", size))
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 8<<10)
				for {
					if _, err := c.Read(buf); err != nil {
						return
					}
					if _, err := c.Write(answer); err != nil {
						return
					}
				}
			}()
		}
	}()
	return "http://" + ln.Addr().String()
}

func cannedGateway(b *testing.B, size int, keys string) *proxy.Gateway {
	b.Helper()
	yaml := "version: 1\ncache: {memory: {size: 64MiB}}\nupstreams: {o: {targets: [\"" + cannedOrigin(b, size) + "\"]}}\nroutes:\n  - name: all\n    match: {path: /*}\n    upstream: o\n    " + keys + "\n"
	cfg, err := config.Parse("bench.yaml", []byte(yaml), nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	g, err := proxy.New(cfg, proxy.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = g.Close(context.Background()) })
	return g
}

// BenchmarkPass is what the gateway adds to net/http for a response that is passed through, the
// call to the origin included.
func BenchmarkPass(b *testing.B) {
	for _, size := range []int{1 << 10, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			benchmarkRequest(b, cannedGateway(b, size, "cache: {enabled: false}"))
		})
	}
}

// BenchmarkMiss is BenchmarkPass for a response that is stored.
func BenchmarkMiss(b *testing.B) {
	g := cannedGateway(b, 1<<10, "cache: {enabled: true}")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		r := httptest.NewRequest(http.MethodGet, fmt.Sprint("http://bench.local/h?n=", i), nil)
		b.StartTimer()
		g.ServeHTTP(&discard{make(http.Header, 8)}, r)
	}
}

// wiredClient serves g on connections with a wire, and returns one of them.
func wiredClient(b *testing.B, g *proxy.Gateway) net.Conn {
	b.Helper()
	server := httptest.NewUnstartedServer(g)
	hot, now := g.Wire()
	server.Listener = wire.Attach(server.Config, hot, now).Listener(server.Listener)
	server.Start()
	b.Cleanup(server.Close)
	c, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	return c
}

// userTime is the processor time that this process has taken outside the kernel.
func userTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano())
}

// askWired makes n different requests on c.
func askWired(b *testing.B, c net.Conn, size int) {
	in := bufio.NewReader(c)
	b.ReportAllocs()
	began := userTime()
	defer func() { b.ReportMetric(float64(userTime()-began)/float64(b.N), "user-ns/op") }()
	for i := 0; b.Loop(); i++ {
		if _, err := fmt.Fprintf(c, "GET /h/list?n=%d HTTP/1.1\r\nHost: bench.local\r\nUser-Agent: bench\r\n\r\n", i); err != nil {
			b.Fatal(err)
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != int64(size) {
			b.Fatalf("%d bytes, %v", n, err)
		}
	}
}

// BenchmarkWired is a request that a connection can't answer: the connection looks first, and the
// handler goes on with what it found. It counts the client and the call to the origin too.
func BenchmarkWired(b *testing.B) {
	for _, kind := range []struct{ name, keys string }{{"pass", "cache: {enabled: false}"}, {"miss", "cache: {enabled: true}"}} {
		b.Run(kind.name, func(b *testing.B) { askWired(b, wiredClient(b, cannedGateway(b, 1<<10, kind.keys)), 1<<10) })
	}
}
