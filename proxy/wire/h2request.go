package wire

import "golang.org/x/net/http2/hpack"

// pseudo are the fields by which HTTP/2 says what HTTP/1.1 has in a request line and in Host.
type pseudo struct{ method, scheme, authority, path string }

// pseudoOf are those of a request, with the fields behind them. It reports false unless there is one of each, and none among the other fields in front.
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

// appendRequest writes a request as HTTP/1.1 would have it. It reports false for one that is not certain to mean the same there; whether that is of
// the strict subset is for [Request] to say.
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

// appendCookies joins what clients take apart to be abbreviated better (RFC 9113 §8.2.3).
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

// inHTTP2 reports whether a field may be in a request of HTTP/2 (RFC 9113 §8.2.2). Host may, but must say what :authority does: that is left to others.
func inHTTP2(name, value string) bool {
	switch name {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "host":
		return false
	case "te":
		return value == "trailers"
	}
	return true
}

// isLowerToken reports whether s is a field name as HTTP/2 has them.
func isLowerToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; !tokenByte[c] || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return s != ""
}
