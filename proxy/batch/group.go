package batch

import (
	"encoding/binary"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// unforwarded are the fields of a read that a call for many does not have: see the package.
var unforwarded = map[string]bool{
	// about the hop, and a content that is not there
	"Connection": true, "Content-Encoding": true, "Content-Length": true, "Content-Type": true, "Expect": true, "Http2-Settings": true, "Keep-Alive": true,
	"Proxy-Authenticate": true, "Proxy-Authorization": true, "Proxy-Connection": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
	// what a cache asks with
	"Cache-Control": true, "If-Match": true, "If-Modified-Since": true, "If-None-Match": true, "If-Range": true, "If-Unmodified-Since": true, "Pragma": true, "Range": true,
	// the trace
	"B3": true, "Baggage": true, "Traceparent": true, "Tracestate": true, "Uber-Trace-Id": true, "X-Amzn-Trace-Id": true, "X-Cloud-Trace-Context": true,
	"X-Correlation-Id": true, "X-Request-Id": true,
	// where the client is, and what it is
	"Dnt": true, "Forwarded": true, "Priority": true, "Referer": true, "Sec-Gpc": true, "Upgrade-Insecure-Requests": true, "User-Agent": true, "Via": true,
	"X-Forwarded-For": true, "X-Forwarded-Port": true, "X-Forwarded-Prefix": true, "X-Real-Ip": true,
	// always the same
	"Accept": true, "Accept-Encoding": true,
}

var unforwardedPrefixes = []string{"Sec-Fetch-", "Sec-Ch-Ua", "X-B3-"}

func forwards(name string) bool {
	return !unforwarded[name] && !slices.ContainsFunc(unforwardedPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

// asked is what a read wants beside its id.
type asked struct {
	key           string // what has the same may share a call
	host          string
	before, after string // of the ids in the URL
	header        http.Header
}

// ask is what req wants.
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
		a.header["Via"] = via // one member's: that calls go round in a circle is seen by it
	}
	return a, nil
}

// groupKey has every text with its length before it, so that no two different requests have one key.
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
