package field

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/penstock/penstock/test/gatewaytest"
)

// A response is stored, and ends well for the client, only if it is certain where it ends. Otherwise the client learns that something is missing, and the
// next one does not get it from the store.
func TestAResponseWhoseEndIsInDoubtIsNotStored(t *testing.T) {
	const fresh = "Cache-Control: max-age=60\r\n"
	const ok, old = "HTTP/1.1 200 OK\r\n" + fresh, "HTTP/1.0 200 OK\r\n" + fresh
	const chunks = "5\r\nhello\r\n0\r\n\r\n"
	for _, tt := range []struct {
		name, answer string
		reset        bool // the origin resets the connection; otherwise it closes it
		whole        bool // the end is certain
	}{
		{name: "chunked over HTTP/1.0", answer: old + "Transfer-Encoding: chunked\r\n\r\n" + chunks},
		{name: "chunked over HTTP/1.0 that is kept alive", answer: old + "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks},
		{name: "a coding over HTTP/1.0 beside a length", answer: old + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "chunked beside a length", answer: ok + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + chunks},
		{name: "chunked before a length", answer: ok + "Content-Length: 15\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks},
		{name: "two lengths", answer: ok + "Content-Length: 5\r\nContent-Length: 4\r\n\r\nhello"},
		{name: "a list of lengths", answer: ok + "Content-Length: 5, 5\r\n\r\nhello"},
		{name: "an unknown coding", answer: ok + "Transfer-Encoding: gzip, chunked\r\n\r\n" + chunks},
		{name: "chunked twice", answer: ok + "Transfer-Encoding: chunked, chunked\r\n\r\n" + chunks},
		{name: "a body that is cut", answer: ok + "Content-Length: 6\r\n\r\nhello"},
		{name: "chunks that are cut", answer: ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"},
		{name: "chunks without the last line", answer: ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"},
		{name: "a reset in the place of the end", answer: ok + "\r\nhello", reset: true},
		{name: "a reset over HTTP/1.0", answer: old + "\r\nhello", reset: true},
		{name: "a part that is cut", answer: "HTTP/1.1 206 Partial Content\r\n" + fresh + "Content-Range: bytes 0-5/6\r\nContent-Length: 6\r\n\r\nhello"},
		{name: "a part without a length that is cut", answer: "HTTP/1.1 206 Partial Content\r\nConnection: close\r\n" + fresh + "Content-Range: bytes 0-5/6\r\n\r\nhello"},
		{name: "the end of the connection", answer: ok + "\r\nhello", whole: true},
		{name: "the end of the connection over HTTP/1.0", answer: old + "\r\nhello", whole: true},
		{name: "a length", answer: ok + "Content-Length: 5\r\n\r\nhello", whole: true},
		{name: "equal lengths", answer: ok + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", whole: true},
		{name: "chunks", answer: ok + "Transfer-Encoding: chunked\r\n\r\n" + chunks, whole: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := make(chan struct{}, 10)
			g := gatewaytest.Route(t, rawOrigin(t, func(c net.Conn) {
				if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
					return
				}
				asked <- struct{}{}
				io.WriteString(c, tt.answer)
				if tt.reset {
					c.(*net.TCPConn).SetLinger(0)
				}
			}), "cache: {enabled: true}")
			var fields []string
			if strings.Contains(tt.answer, "206 Partial Content") {
				fields = []string{"Range", "bytes=0-5"}
			}
			first, second := g.Get("/", fields...), g.Get("/", fields...)
			for i, r := range []*gatewaytest.Response{first, second} {
				if good := r.Err == nil && r.Status == 200 && r.Body == "hello"; good != tt.whole {
					t.Errorf("response %d: %d %q, %v", i+1, r.Status, r.Body, r.Err)
				}
				if cut := r.Err != nil || r.Status == 502; cut == tt.whole {
					t.Errorf("response %d: the client can't see that the end is in doubt: %d %q, %v", i+1, r.Status, r.Body, r.Err)
				}
			}
			if got, want := fmt.Sprint(second.Hit(), len(asked)), fmt.Sprint(tt.whole, map[bool]int{true: 1, false: 2}[tt.whole]); got != want {
				t.Errorf("hit, and requests to the origin: %s, want %s", got, want)
			}
		})
	}
}
