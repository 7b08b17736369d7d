package wire

import (
	"bytes"
	"net/http"
	"strings"
	"unsafe"
)

// class says what a connection can do about the bytes that it holds.
type class uint8

const (
	partial class = iota // the head is not all there
	plain                // of the strict subset: it may be answered here
	framed               // net/http's, and it is known where it ends
	opaque               // net/http's, and where it ends is not for this package to say
	refused              // can be read in two ways, of which net/http would choose one
)

// maxFields is how many field lines of a request are kept. One with more is net/http's.
const maxFields = 48

// Request is a request of the strict subset. All its strings but Method are views of the connection's buffer, valid until it is answered.
type Request struct {
	Peer   *Peer
	Method string // "GET" or "HEAD"
	Target string // in origin-form, exactly as it came
	Host   string // the Host field, exactly as it came
	Head   []byte // all of it
	// Conditional is set where there is an If-None-Match or an If-Modified-Since. There are no other conditions.
	Conditional bool

	fields  [maxFields]field
	count   int
	size    int   // of the head
	length  int64 // Content-Length, 0 without one
	fault   string
	version byte // the digit behind "HTTP/1."
	seen    seen
}

type field struct{ name, value string }

// seen are the facts about a request that its fields tell.
type seen uint16

const (
	seenHost   seen = 1 << iota
	seenLength      // Content-Length
	seenCoding      // Transfer-Encoding
	seenUnsure      // Upgrade or Expect, or a Content-Length that is no number: what follows on the connection is not certain
	seenTwoHosts
	seenBeyond // something that the strict subset does not have
)

// Line is the value of the only line of a field, whose name is given in canonical form, and how many lines of that name there are.
func (r *Request) Line(name string) (value string, lines int) {
	for i := range r.fields[:r.count] {
		if f := &r.fields[i]; len(f.name) == len(name) && strings.EqualFold(f.name, name) {
			value = f.value
			lines++
		}
	}
	return value, lines
}

// Has reports whether there is a field whose name begins with the prefix, given in lower case.
func (r *Request) Has(prefix string) bool {
	for i := range r.fields[:r.count] {
		if hasPrefixFold(r.fields[i].name, prefix) {
			return true
		}
	}
	return false
}

// Lines yields the name and value of each field line but Host, as they came.
func (r *Request) Lines(yield func(name, value string) bool) {
	for i := range r.fields[:r.count] {
		if f := &r.fields[i]; !yield(f.name, f.value) {
			return
		}
	}
}

// parse reads the request at the beginning of b.
func (r *Request) parse(b []byte) class {
	r.count, r.size, r.length, r.fault, r.seen, r.Conditional = 0, 0, 0, "", 0, false
	line, rest, c := cutLine(b)
	if c != plain {
		if c == partial && !tokenByte[b[0]] {
			return opaque // no method begins so: it is another protocol
		}
		return c
	}
	c = r.requestLine(line)
	if c == opaque {
		return opaque
	}
	for {
		var lc class
		if line, rest, lc = cutLine(rest); lc != plain {
			return lc
		}
		if len(line) == 0 {
			break
		}
		if line[0] == ' ' || line[0] == '\t' {
			r.fault = "a field is folded over several lines"
			return refused // RFC 9112 §5.2
		}
		if !r.fieldLine(line) {
			return opaque // net/http refuses it
		}
	}
	r.size = len(b) - len(rest)
	r.Head = b[:r.size]
	return r.judge(c)
}

// cutLine cuts the first line off. A line that ends in LF alone ends for net/http too, but not for everybody.
func cutLine(b []byte) (line, rest []byte, c class) {
	i := bytes.IndexByte(b, '\n')
	switch {
	case i < 0:
		return nil, nil, partial
	case i == 0 || b[i-1] != '\r':
		return nil, nil, opaque
	}
	return b[:i-1], b[i+1:], plain
}

// requestLine reads the request line: plain, framed, or opaque where it is malformed or of another version.
func (r *Request) requestLine(line []byte) class {
	s := view(line)
	method, s, ok := strings.Cut(s, " ")
	end := len(s) - len(" HTTP/1.1")
	if !ok || end <= 0 || s[end:end+len(" HTTP/1.")] != " HTTP/1." || !isToken(method) {
		return opaque
	}
	r.version = s[len(s)-1]
	if r.Method, r.Target = method, s[:end]; !isGraphic(r.Target) {
		return opaque
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

// fieldLine reads a field line; false: it is malformed.
func (r *Request) fieldLine(line []byte) bool {
	s := view(line)
	colon := strings.IndexByte(s, ':')
	if colon <= 0 || !isToken(s[:colon]) {
		return false
	}
	name, value := s[:colon], trim(s[colon+1:])
	if !isText(value) {
		return false
	}
	if known, ok := r.special(name, value); ok {
		r.seen |= known
		if known == seenHost {
			return true
		}
	}
	if r.count == maxFields {
		r.seen |= seenBeyond
		return true
	}
	r.fields[r.count] = field{name, value}
	r.count++
	return true
}

// special tells the fields by which framing or the subset go.
func (r *Request) special(name, value string) (seen, bool) {
	switch len(name) {
	case 4:
		if strings.EqualFold(name, "Host") {
			if r.seen&seenHost != 0 {
				return seenTwoHosts | seenBeyond, true
			}
			r.Host = value
			return seenHost, true
		}
	case 5, 8, 13, 17, 19:
		return r.specialLong(name)
	case 6:
		if strings.EqualFold(name, "Expect") {
			return seenUnsure | seenBeyond, true
		}
		return seenBeyond, strings.EqualFold(name, "Pragma")
	case 7:
		return seenUnsure | seenBeyond, strings.EqualFold(name, "Upgrade")
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
func (r *Request) specialLong(name string) (seen, bool) {
	switch {
	case strings.EqualFold(name, "If-None-Match"), strings.EqualFold(name, "If-Modified-Since"):
		r.Conditional = true
		return 0, false
	case hasPrefixFold(name, "if-"), strings.EqualFold(name, "Range"), strings.EqualFold(name, "Cache-Control"), strings.EqualFold(name, "Authorization"):
		return seenBeyond, true
	case strings.EqualFold(name, "Transfer-Encoding"):
		return seenCoding | seenBeyond, true
	}
	return 0, false
}

// contentLength reads a Content-Length, of which there may be one.
func (r *Request) contentLength(value string) seen {
	if r.seen&seenLength != 0 || value == "" || len(value) > 18 {
		return seenLength | seenUnsure | seenBeyond
	}
	for i := range len(value) {
		if value[i] < '0' || value[i] > '9' {
			return seenLength | seenUnsure | seenBeyond
		}
		r.length = r.length*10 + int64(value[i]-'0')
	}
	return seenLength | seenBeyond
}

// judge says whose the request is, now that all of it is known. c is what its request line says.
func (r *Request) judge(c class) class {
	switch {
	case r.seen&(seenLength|seenCoding) == seenLength|seenCoding:
		r.fault = "Content-Length and Transfer-Encoding together"
		return refused // RFC 9112 §6.1: the mark of an attempt at smuggling
	case r.seen&(seenCoding|seenUnsure) != 0, r.version != '1', r.Method == "CONNECT":
		return opaque
	case c == plain && r.seen&(seenHost|seenBeyond) == seenHost:
		return plain
	}
	return framed
}

// authority is that of an absolute target, and whether the target is one.
func (r *Request) authority() (string, bool) {
	for _, scheme := range [...]string{"http://", "https://"} {
		if hasPrefixFold(r.Target, scheme) {
			rest := r.Target[len(scheme):]
			if end := strings.IndexAny(rest, "/?#"); end >= 0 {
				rest = rest[:end]
			}
			return rest, true
		}
	}
	return "", false
}

// view is b as a string that lives as long as b is not written to.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
