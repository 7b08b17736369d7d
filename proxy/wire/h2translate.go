package wire

import (
	"bytes"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// staticNames maps names of response fields, as HTTP/1.1 writes them, to their index in HPACK's
// static table (RFC 7541 appendix A).
var staticNames = map[string]byte{
	"Accept-Ranges": 18, "Access-Control-Allow-Origin": 20, "Age": 21, "Allow": 22, "Cache-Control": 24, "Content-Disposition": 25, "Content-Encoding": 26,
	"Content-Language": 27, "Content-Length": 28, "Content-Location": 29, "Content-Type": 31, "Date": 33, "Etag": 34, "Expires": 36, "Last-Modified": 44,
	"Link": 45, "Location": 46, "Server": 54, "Set-Cookie": 55, "Strict-Transport-Security": 56, "Vary": 59, "Via": 60, "Www-Authenticate": 61,
}

// staticStatus maps statuses to their index in that table.
var staticStatus = map[string]byte{"200": 8, "204": 9, "206": 10, "304": 11, "400": 12, "404": 13, "500": 14}

const statusName = 8 // the first index with :status

// appendAnswer appends the HEADERS frame for the head of an HTTP/1.1 response. It uses only the
// static table, so it does not affect later blocks of net/http. It reports false if the head has no
// HTTP/2 form.
func appendAnswer(dst, head []byte, stream uint32, ends bool) ([]byte, bool) {
	begin := len(dst)
	dst = append(dst, make([]byte, frameHead)...)
	line, rest, ok := bytes.Cut(head, crlf)
	if !ok || len(line) < len("HTTP/1.1 200") {
		return dst, false
	}
	dst = appendStatus(dst, line[len("HTTP/1.1 "):][:3])
	for len(rest) > len(crlf) {
		if line, rest, ok = bytes.Cut(rest, crlf); !ok {
			return dst, false
		}
		if dst, ok = appendLine(dst, line); !ok {
			return dst, false
		}
	}
	f := frame{length: len(dst) - begin - frameHead, kind: http2.FrameHeaders, flags: http2.FlagHeadersEndHeaders, stream: stream}
	if ends {
		f.flags |= http2.FlagHeadersEndStream
	}
	f.append(dst[begin:begin])
	return dst, f.length <= frameMost
}

var crlf = []byte("\r\n")

func appendStatus(dst, status []byte) []byte {
	if i, ok := staticStatus[string(status)]; ok {
		return append(dst, 0x80|i)
	}
	return append(append(dst, statusName, 3), status...)
}

// appendLine appends a field line. It reports false if the field is not allowed in HTTP/2; net/http
// omits some of these fields.
func appendLine(dst, line []byte) ([]byte, bool) {
	colon := bytes.IndexByte(line, ':')
	if colon < 0 || colon+2 > len(line) || line[colon+1] != ' ' {
		return dst, false
	}
	name, value := view(line[:colon]), view(line[colon+2:])
	if !isToken(name) || !isText(value) {
		return dst, false
	}
	switch i, ok := staticNames[name]; {
	case ok:
		dst = appendInteger(dst, 0, 4, int(i))
	case isConnections(name):
		return dst, false
	default:
		dst = appendInteger(append(dst, 0), 0, 7, len(name))
		for i := range len(name) {
			c := name[i]
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			dst = append(dst, c)
		}
	}
	return appendString(dst, value), true
}

// isConnections reports whether a field applies only to an HTTP/1.1 connection.
func isConnections(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade", "Trailer":
		return true
	}
	return false
}

// pseudo holds the pseudo-header fields, which carry the parts of HTTP/1.1's request line and Host.
type pseudo struct{ method, scheme, authority, path string }

// pseudoOf returns the pseudo-header fields of a request and the remaining fields. It reports false
// unless each occurs exactly once, before all other fields.
func pseudoOf(fields []hpack.HeaderField) (p pseudo, rest []hpack.HeaderField, ok bool) {
	if len(fields) < 4 {
		return p, nil, false
	}
	for _, f := range fields[:4] {
		var to *string
		switch f.Name {
		case ":method":
			to = &p.method
		case ":scheme":
			to = &p.scheme
		case ":authority":
			to = &p.authority
		case ":path":
			to = &p.path
		}
		if to == nil || *to != "" || f.Value == "" {
			return p, nil, false
		}
		*to = f.Value
	}
	return p, fields[4:], true
}

// appendRequest appends a request in the form of HTTP/1.1. It reports false if the meaning might
// differ in that form. Whether the request is in the strict subset, [Request] decides.
func appendRequest(b []byte, fields []hpack.HeaderField, scheme string) ([]byte, bool) {
	p, fields, ok := pseudoOf(fields)
	if !ok || p.method != "GET" && p.method != "HEAD" || p.scheme != scheme || p.path[0] != '/' || !isGraphic(p.path) || !isGraphic(p.authority) {
		return b, false
	}
	b = append(append(append(b, p.method...), ' '), p.path...)
	b = append(append(append(b, " HTTP/1.1\r\nhost: "...), p.authority...), "\r\n"...)
	joined := false
	for i, f := range fields {
		switch {
		case !isLowerToken(f.Name) || !isText(f.Value) || trim(f.Value) != f.Value || !inHTTP2(f.Name, f.Value):
			return b, false
		case f.Name == "cookie":
			if !joined {
				b = appendCookies(b, fields[i:])
				joined = true
			}
		default:
			b = append(append(append(b, f.Name...), ": "...), f.Value...)
			b = append(b, "\r\n"...)
		}
	}
	return append(b, "\r\n"...), true
}

// appendCookies joins cookies that the client has split for better compression (RFC 9113 §8.2.3).
func appendCookies(b []byte, fields []hpack.HeaderField) []byte {
	separator := "cookie: "
	for _, f := range fields {
		if f.Name == "cookie" {
			b = append(append(b, separator...), f.Value...)
			separator = "; "
		}
	}
	return append(b, "\r\n"...)
}

// inHTTP2 reports whether a field is allowed in an HTTP/2 request (RFC 9113 §8.2.2). Host is
// allowed, but must equal :authority; another function checks that.
func inHTTP2(name, value string) bool {
	switch name {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "host":
		return false
	case "te":
		return value == "trailers"
	}
	return true
}

// isLowerToken reports whether s is a valid field name of HTTP/2.
func isLowerToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; !tokenByte[c] || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return s != ""
}
