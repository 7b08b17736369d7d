package proxy_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy"
)

// cannedOrigin answers whatever it reads with the same bytes, so that what a benchmark counts is the gateway's.
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

// BenchmarkPass is what the gateway adds to net/http for a response that is passed through, the call to the origin included.
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
