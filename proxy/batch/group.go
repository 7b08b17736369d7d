package batch

import (
	"encoding/binary"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// unforwarded lists the fields of a read that a call does not forward; see the package comment.
var unforwarded = map[string]bool{
	// fields about the hop, and about content, which reads do not have
	"Connection": true, "Content-Encoding": true, "Content-Length": true, "Content-Type": true, "Expect": true, "Http2-Settings": true, "Keep-Alive": true,
	"Proxy-Authenticate": true, "Proxy-Authorization": true, "Proxy-Connection": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
	// the fields of caches
	"Cache-Control": true, "If-Match": true, "If-Modified-Since": true, "If-None-Match": true, "If-Range": true, "If-Unmodified-Since": true, "Pragma": true, "Range": true,
	// the trace
	"B3": true, "Baggage": true, "Traceparent": true, "Tracestate": true, "Uber-Trace-Id": true, "X-Amzn-Trace-Id": true, "X-Cloud-Trace-Context": true,
	"X-Correlation-Id": true, "X-Request-Id": true,
	// the client's address and software
	"Dnt": true, "Forwarded": true, "Priority": true, "Referer": true, "Sec-Gpc": true, "Upgrade-Insecure-Requests": true, "User-Agent": true, "Via": true,
	"X-Forwarded-For": true, "X-Forwarded-Port": true, "X-Forwarded-Prefix": true, "X-Real-Ip": true,
	// fixed fields
	"Accept": true, "Accept-Encoding": true,
}

var unforwardedPrefixes = []string{"Sec-Fetch-", "Sec-Ch-Ua", "X-B3-"}

func forwards(name string) bool {
	return !unforwarded[name] && !slices.ContainsFunc(unforwardedPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

// asked is a read's request without its id.
type asked struct {
	key           string // reads with equal keys may share a call
	host          string
	before, after string // the ids in the URL
	header        http.Header
}

// ask returns the shared part of req, or an error if its captures cannot go into a URL.
func (l *Loader) ask(req *http.Request) (*asked, error) {
	a := &asked{host: req.Host, header: make(http.Header, len(req.Header))}
	var err error
	if a.before, a.after, err = l.path.expand(func(name string) (string, bool) { return l.Capture(req, name) }); err != nil {
		return nil, err
	}
	for name, values := range req.Header {
		if forwards(name) {
			a.header[name] = values
		}
	}
	a.key = a.groupKey()
	a.header["Accept"], a.header["Accept-Encoding"] = []string{"application/json"}, []string{"identity"}
	if via := req.Header["Via"]; len(via) > 0 {
		a.header["Via"] = via // one read's Via is enough to detect a loop
	}
	return a, nil
}

// groupKey precedes every text with its length, so that different requests never have the same key.
func (a *asked) groupKey() string {
	b := appendText(nil, a.host)
	b = appendText(b, a.before)
	b = appendText(b, a.after)
	for _, name := range slices.Sorted(maps.Keys(a.header)) {
		b = appendText(b, name)
		b = binary.AppendUvarint(b, uint64(len(a.header[name])))
		for _, v := range a.header[name] {
			b = appendText(b, v)
		}
	}
	return string(b)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
