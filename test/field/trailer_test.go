package field

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/penstock/penstock/test/gatewaytest"
)

// Trailer fields that would decide how a response is framed, routed, stored or shown do not reach the client: a recipient that merges them into the header
// section would act on them. Others do.
func TestTrailersThatDecideAboutTheResponseAreDropped(t *testing.T) {
	bad := []string{
		"Content-Length", "Transfer-Encoding", "Trailer", "Host", "Connection", "Keep-Alive", "Upgrade", "Te", "Content-Encoding", "Content-Type", "Content-Range",
		"Cache-Control", "Age", "Expires", "Vary", "Date", "Set-Cookie", "Location", "Www-Authenticate", "Proxy-Authenticate", "Authorization", "X-Forwarded-For",
		"Retry-After", "Access-Control-Allow-Origin", "Via",
	}
	good := []string{"X-Checksum", "Server-Timing", "Grpc-Status", "Grpc-Message", "Digest", "Etag"}
	for _, over := range []string{"HTTP/1.1", "h2c"} {
		for _, announced := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, announced %v", over, announced), func(t *testing.T) {
				url, protocol := says(trailerAnswer(slices.Concat(bad, good), announced))(t), "h1"
				if over == "h2c" {
					url, protocol = trailerOrigin(t, slices.Concat(bad, good), announced), "h2c"
				}
				g := gatewaytest.Start(t, "upstreams:\n  origin: {targets: [\""+url+"\"], protocol: "+protocol+", timeouts: {connect: 10s}}\n"+
					"routes:\n  - {name: all, match: {path: /*}, upstream: origin}\n")
				r := g.Get("/", "Te", "trailers")
				if r.Err != nil || r.Body != "hello" {
					t.Fatalf("%d %q, %v", r.Status, r.Body, r.Err)
				}
				for _, name := range bad {
					if _, there := r.Trailer[name]; there {
						t.Errorf("the trailer field %s reached the client", name)
					}
				}
				for _, name := range good {
					if r.Trailer.Get(name) != "9" {
						t.Errorf("the trailer field %s did not reach the client: %v", name, r.Trailer)
					}
				}
			})
		}
	}
}

// trailerAnswer is a chunked response with the given trailer fields. The names that net/http's origins can't announce are not announced.
func trailerAnswer(names []string, announce bool) string {
	head, trailer := "", ""
	for _, name := range names {
		trailer += name + ": 9\r\n"
		if announce && name != "Content-Length" && name != "Transfer-Encoding" && name != "Trailer" {
			head += "Trailer: " + name + "\r\n"
		}
	}
	return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + head + "\r\n5\r\nhello\r\n0\r\n" + trailer + "\r\n"
}

// trailerOrigin is an HTTP/2 origin with the given trailer fields. It leaves out those that HTTP/2 does not know.
func trailerOrigin(t *testing.T, names []string, announce bool) string {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for _, name := range names {
			if announce {
				w.Header().Add("Trailer", name)
			}
		}
		io.WriteString(w, "hello")
		http.NewResponseController(w).Flush()
		for _, name := range names {
			if announce {
				w.Header().Set(name, "9")
			}
			w.Header().Set(http.TrailerPrefix+name, "9")
		}
	}))
	s.Config.ErrorLog = quiet
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}
