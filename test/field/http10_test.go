package field

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/penstock/penstock/test/gatewaytest"
)

func TestHTTP10WithoutHostIsAnswered(t *testing.T) {
	origin := gatewaytest.NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprintf(w, "host %q", r.Header["X-Forwarded-Host"])
	})
	for _, preserve := range []string{"true", "false"} {
		g := gatewaytest.Start(t, "server: {trusted_proxies: [192.0.2.1/32]}\nupstreams:\n  origin: {targets: ["+origin.URL+"], preserve_host: "+preserve+"}\nroutes:\n"+
			"  - {name: named, match: {host: shop.example, path: /*}, upstream: origin}\n"+
			"  - {name: secure, match: {path: /secure}, upstream: origin, require_https: redirect}\n"+
			"  - {name: all, match: {path: /*}, upstream: origin, cache: {enabled: true}}\n")
		for _, tt := range []struct {
			name, text string
			want       int
		}{
			{"HAProxy's health check", "OPTIONS / HTTP/1.0\r\n\r\n", 200},
			{"GET", "GET /a HTTP/1.0\r\n\r\n", 200},
			{"GET again, from the cache", "GET /a HTTP/1.0\r\n\r\n", 200},
			{"HEAD", "HEAD /a HTTP/1.0\r\n\r\n", 200},
			{"POST", "POST /a HTTP/1.0\r\nContent-Length: 1\r\n\r\na", 200},
			{"empty Host", "GET /b HTTP/1.0\r\nHost:\r\n\r\n", 200},
			{"absolute target", "GET http://other.example/a HTTP/1.0\r\n\r\n", 200},
			{"with Host", "GET /a HTTP/1.0\r\nHost: other.example\r\n\r\n", 200},
			{"nothing to redirect to", "GET /secure HTTP/1.0\r\n\r\n", 403},
			{"no valid Host", "GET /a HTTP/1.0\r\nHost: a b\r\n\r\n", 400},
			{"HTTP/1.1 must name one", "GET /a HTTP/1.1\r\n\r\n", 400},
		} {
			conn := g.Dial()
			if _, err := io.WriteString(conn, tt.text); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || resp.StatusCode != tt.want {
				body, _ := io.ReadAll(resp.Body)
				t.Errorf("preserve_host %s: %s: %d %q, %v", preserve, tt.name, resp.StatusCode, body, err)
			}
		}
		if r := g.Get("/b", "Host", "else.example"); r.Hit() {
			t.Error("the answer for no host was given for another")
		}
	}
}
