package wire

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"unsafe"
)

// class says how a connection can handle its received bytes.
type class uint8

const (
	partial class = iota // the head is incomplete
	plain                // in the strict subset: it may be answered here
	framed               // a request for net/http with a known end
	opaque               // not an HTTP/1 request: net/http rejects it or speaks another protocol
	refused              // malformed or ambiguous
)

// maxFields limits the stored field lines of a request. If a request has more, net/http handles it.
const maxFields = 48

// Request is a request of the strict subset. All its strings except Method are views of the
// connection's buffer, valid until the request is answered.
type Request struct {
	Peer   *Peer
	Method string // "GET" or "HEAD"
	Target string // in origin-form, exactly as received
	Host   string // the Host field, exactly as received
	Head   []byte // the complete head
	// Conditional is true if the request has If-None-Match or If-Modified-Since. Other conditions
	// are not in the subset.
	Conditional bool

	fields  [maxFields]field
	count   int
	size    int   // of the head
	length  int64 // Content-Length, 0 if absent
	chunked bool  // whether the body is chunked
	fault   fault // the reason for which the request is refused
	version byte  // the digit after "HTTP/1."
	seen    seen
}

type field struct{ name, value string }

// seen is a set of properties that the fields of a request reveal.
type seen uint16

const (
	seenHost   seen = 1 << iota
	seenLength      // Content-Length
	seenCoding      // Transfer-Encoding
	seenBeyond      // a feature outside the strict subset
)

// Line returns the value of a field that occurs once, and the number of its lines. name must be
// canonical.
func (r *Request) Line(name string) (value string, lines int) {
	for i := range r.fields[:r.count] {
		if f := &r.fields[i]; len(f.name) == len(name) && strings.EqualFold(f.name, name) {
			value = f.value
			lines++
		}
	}
	return value, lines
}

// Any reports whether is returns true for any field name. Names are passed in their received case.
func (r *Request) Any(is func(name string) bool) bool {
	for i := range r.fields[:r.count] {
		if is(r.fields[i].name) {
			return true
		}
	}
	return false
}

// Has reports whether any field name begins with prefix, which must be in lower case.
func (r *Request) Has(prefix string) bool {
	for i := range r.fields[:r.count] {
		if hasPrefixFold(r.fields[i].name, prefix) {
			return true
		}
	}
	return false
}

// Lines yields the name and value of each field line except Host, as received.
func (r *Request) Lines(yield func(name, value string) bool) {
	for i := range r.fields[:r.count] {
		if f := &r.fields[i]; !yield(f.name, f.value) {
			return
		}
	}
}

// parse parses the request at the beginning of b.
func (r *Request) parse(b []byte) class {
	r.Host, r.count, r.size, r.length, r.chunked, r.fault, r.seen, r.Conditional = "", 0, 0, 0, false, sound, 0, false
	line, rest, strict, ok := cutLine(b)
	if !ok {
		if !tokenByte[b[0]] && b[0] != '\r' {
			return opaque // no method begins like this, so it is another protocol
		}
		return partial
	}
	c := r.requestLine(line)
	for c != opaque {
		var crlf bool
		if line, rest, crlf, ok = cutLine(rest); !ok {
			return r.unlessFaulty(partial)
		}
		if strict = strict && crlf; len(line) == 0 {
			break
		}
		r.fieldLine(line)
	}
	r.size = len(b) - len(rest)
	r.Head = b[:r.size]
	if c == opaque {
		return opaque
	}
	if !strict {
		c = framed
	}
	return r.classify(c)
}

// unlessFaulty returns c, or refused if the request has a fault.
func (r *Request) unlessFaulty(c class) class {
	if r.fault != sound {
		return refused
	}
	return c
}

// cutLine cuts off the first line. ok is false if the line is incomplete. A line may end in LF
// alone (RFC 9112 §2.2); strict is false then.
func cutLine(b []byte) (line, rest []byte, strict, ok bool) {
	i := bytes.IndexByte(b, '\n')
	switch {
	case i < 0:
		return nil, nil, false, false
	case i == 0 || b[i-1] != '\r':
		return b[:i], b[i+1:], false, true
	}
	return b[:i-1], b[i+1:], true, true
}

// blank returns the length of the empty lines at the beginning of b. A client may send some before
// a request (RFC 9112 §2.2).
func blank(b []byte) (n int) {
	for n < len(b) {
		switch {
		case b[n] == '\n':
			n++
		case b[n] == '\r' && n+1 < len(b) && b[n+1] == '\n':
			n += 2
		default:
			return n
		}
	}
	return n
}

// requestLine parses the request line. The result is plain, framed, or opaque if the line is not
// HTTP/1.
func (r *Request) requestLine(line []byte) class {
	s := view(line)
	method, s, ok := strings.Cut(s, " ")
	end := len(s) - len(" HTTP/1.1")
	if !ok || end <= 0 || s[end:end+len(" HTTP/1.")] != " HTTP/1." || s[len(s)-1] < '0' || s[len(s)-1] > '9' || !isToken(method) {
		return opaque
	}
	r.version = s[len(s)-1]
	if r.Method, r.Target = method, s[:end]; !isGraphic(r.Target) {
		if !isTarget(r.Target) {
			r.blame(badTarget)
		}
		return framed
	}
	switch {
	case r.Target[0] != '/' || r.version != '1':
		return framed
	case method == http.MethodGet:
		r.Method = http.MethodGet
	case method == http.MethodHead:
		r.Method = http.MethodHead
	default:
		return framed
	}
	return plain
}

// fieldLine parses a field line.
func (r *Request) fieldLine(line []byte) {
	if line[0] == ' ' || line[0] == '\t' {
		r.blame(folded) // RFC 9112 §5.2; §2.2 if it is the first line
		return
	}
	s := view(line)
	colon := strings.IndexByte(s, ':')
	if colon <= 0 || !isToken(s[:colon]) {
		r.blame(badName)
		return
	}
	name, value := s[:colon], trim(s[colon+1:])
	if !isText(value) {
		r.blame(badValue)
		return
	}
	if known, ok := r.special(name, value); ok {
		r.seen |= known
		if known == seenHost {
			return
		}
	}
	if r.count == maxFields {
		r.seen |= seenBeyond
		return
	}
	r.fields[r.count] = field{name, value}
	r.count++
}

// special recognises the fields that affect framing or the subset.
func (r *Request) special(name, value string) (seen, bool) {
	switch len(name) {
	case 4:
		if strings.EqualFold(name, "Host") {
			if r.seen&seenHost != 0 {
				r.blame(severalHosts) // RFC 9112 §3.2
			}
			r.Host = value
			return seenHost, true
		}
	case 5, 8, 13, 17, 19:
		return r.specialLong(name, value)
	case 6:
		return seenBeyond, strings.EqualFold(name, "Expect") || strings.EqualFold(name, "Pragma")
	case 7:
		return seenBeyond, strings.EqualFold(name, "Upgrade")
	case 10:
		if strings.EqualFold(name, "Connection") {
			return seenBeyond, !strings.EqualFold(value, "keep-alive")
		}
	case 14:
		if strings.EqualFold(name, "Content-Length") {
			return r.contentLength(value), true
		}
	}
	return 0, false
}

// specialLong is special for the longer names, which are rarer.
func (r *Request) specialLong(name, value string) (seen, bool) {
	switch {
	case strings.EqualFold(name, "If-None-Match"), strings.EqualFold(name, "If-Modified-Since"):
		r.Conditional = true
		return 0, false
	case hasPrefixFold(name, "if-"), strings.EqualFold(name, "Range"), strings.EqualFold(name, "Cache-Control"), strings.EqualFold(name, "Authorization"):
		return seenBeyond, true
	case strings.EqualFold(name, "Transfer-Encoding"):
		if r.chunked = strings.EqualFold(value, "chunked"); !r.chunked || r.seen&seenCoding != 0 {
			r.blame(unknownCoding)
		}
		return seenCoding | seenBeyond, true
	}
	return 0, false
}

// contentLength parses a Content-Length. The field may occur several times with the same value (RFC
// 9110 §8.6).
func (r *Request) contentLength(value string) seen {
	length := int64(0)
	if value == "" || len(value) > lengthDigits {
		r.blame(badLength)
	}
	for i := range len(value) {
		if value[i] < '0' || value[i] > '9' {
			r.blame(badLength)
		}
		length = length*10 + int64(value[i]-'0')
	}
	if r.seen&seenLength != 0 && length != r.length {
		r.blame(severalLengths)
	}
	r.length = length
	return seenLength | seenBeyond
}

// lengthDigits limits the digits of a Content-Length, so that it fits into an int64.
const lengthDigits = 18

// classify returns the class of the complete request. c is the class according to its request line.
func (r *Request) classify(c class) class {
	switch {
	case r.seen&seenCoding != 0 && r.version == '0':
		r.fault = codingInHTTP10 // RFC 9112 §6.1
	case r.seen&(seenLength|seenCoding) == seenLength|seenCoding:
		r.fault = lengthAndCoding // RFC 9112 §6.1: a sign of request smuggling
	case r.fault == sound && r.Target[0] != '/' && !isHost(r.Host):
		r.fault = badHost // RFC 9112 §3.2.2: the target's host counts, but §3.2 requires a valid Host too
	}
	if r.fault != sound {
		return refused
	}
	if c == plain && r.seen&(seenHost|seenBeyond) == seenHost {
		return plain
	}
	return framed
}

// view returns b as a string, which is valid until b is written to.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// fault is the reason for which a request is refused. The list applies to all paths to net/http, so
// that the response does not depend on the listener.
type fault uint8

const (
	sound fault = iota
	badTarget
	folded
	badName
	badValue
	badHost
	severalHosts
	badLength
	severalLengths
	lengthAndCoding
	codingInHTTP10
	unknownCoding
)

// faultTexts are the texts of the responses.
var faultTexts = [...]string{
	badTarget:       "the target holds characters that must be escaped",
	folded:          "a field is folded over several lines",
	badName:         "a field has no name, or one that is no token",
	badValue:        "a field value holds control characters",
	badHost:         "the host is malformed",
	severalHosts:    "several Host fields",
	badLength:       "Content-Length is no number",
	severalLengths:  "several Content-Length that differ",
	lengthAndCoding: "Content-Length and Transfer-Encoding together",
	codingInHTTP10:  "Transfer-Encoding in HTTP/1.0",
	unknownCoding:   "a transfer coding other than chunked",
}

// blame records the first fault of a request.
func (r *Request) blame(f fault) {
	if r.fault == sound {
		r.fault = f
	}
}

// status returns the code and reason of the status line.
func (f fault) status() string {
	if f == unknownCoding {
		return "501 Not Implemented" // RFC 9112 §6.1
	}
	return "400 Bad Request"
}

// refusal returns the complete response. It is the last one on its connection, because the end of
// the request is uncertain.
func (f fault) refusal() []byte {
	text := f.status() + ": " + faultTexts[f] + "\n"
	return []byte("HTTP/1.1 " + f.status() + "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: " + strconv.Itoa(len(text)) +
		"\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n" + text)
}
