package wire

import (
	"bytes"

	"golang.org/x/net/http2"
)

// staticNames are the places in HPACK's table (RFC 7541 appendix A) of the names that responses have, as HTTP/1.1 writes them.
var staticNames = map[string]byte{
	"Accept-Ranges": 18, "Access-Control-Allow-Origin": 20, "Age": 21, "Allow": 22, "Cache-Control": 24, "Content-Disposition": 25, "Content-Encoding": 26,
	"Content-Language": 27, "Content-Length": 28, "Content-Location": 29, "Content-Type": 31, "Date": 33, "Etag": 34, "Expires": 36, "Last-Modified": 44,
	"Link": 45, "Location": 46, "Server": 54, "Set-Cookie": 55, "Strict-Transport-Security": 56, "Vary": 59, "Via": 60, "Www-Authenticate": 61,
}

// staticStatus are the places of statuses there.
var staticStatus = map[string]byte{"200": 8, "204": 9, "206": 10, "304": 11, "400": 12, "404": 13, "500": 14}

const statusName = 8 // the first place with :status

// appendAnswer writes the HEADERS frame that says what the head of an HTTP/1.1 response does. The table is not put to use but for what is always in it, so net/http's
// blocks mean the same behind this one. It reports false for a head that can't be told.
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

// appendLine writes a field line. It reports false for one that may not be in HTTP/2; net/http leaves some of these out.
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

// isConnections reports whether a field is about the connection that HTTP/1.1 would send it on.
func isConnections(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade", "Trailer":
		return true
	}
	return false
}
