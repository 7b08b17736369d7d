package h1

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/penstock/penstock/proxy/upstream/fault"
)

// Framing says where the body of a response ends (RFC 9112 §6.3).
type Framing uint8

const (
	NoBody     Framing = iota // the response has no body
	Length                    // after Content-Length bytes
	Chunked                   // with its last chunk
	UntilClose                // with the connection
)

// ReadResponse reads a header section into resp: every field except Body. It sets Close if the
// connection takes no further request. method is the method of the request.
func (b *Reader) ReadResponse(resp *http.Response, method string, limit int) (Framing, error) {
	head, err := b.section(limit, mayBeResponse)
	if err != nil {
		return NoBody, err
	}
	line, rest := cutLine(head)
	if err := statusLine(resp, line); err != nil {
		return NoBody, err
	}
	if resp.Header, err = fields(rest); err != nil {
		return NoBody, err
	}
	pragma(resp.Header)
	return frame(resp, method)
}

const protocol = "HTTP/"

// mayBeResponse rejects bytes early if they cannot begin an HTTP response. A peer of another
// protocol may wait for the gateway to speak.
func mayBeResponse(p []byte) bool {
	n := min(len(p), len(protocol))
	return string(p[:n]) == protocol[:n]
}

// cutLine cuts s after its first line. It removes the end of that line.
func cutLine(s string) (line, rest string) {
	i := strings.IndexByte(s, '\n')
	if i < 0 {
		return s, ""
	}
	line, rest = s[:i], s[i+1:]
	return strings.TrimSuffix(line, "\r"), rest
}

// statusLine reads "HTTP/1.1 200 OK" (RFC 9112 §4).
func statusLine(resp *http.Response, line string) error {
	const version = len("HTTP/1.1")
	if len(line) <= version || line[version] != ' ' {
		return errMalformed
	}
	major, minor, ok := http.ParseHTTPVersion(line[:version])
	if !ok || major != 1 {
		return fmt.Errorf("%w: the version is not HTTP/1", errMalformed)
	}
	resp.Proto, resp.ProtoMajor, resp.ProtoMinor = line[:version], major, minor
	resp.Status = strings.TrimLeft(line[version+1:], " ")
	code, _, _ := strings.Cut(resp.Status, " ")
	if len(code) != 3 || !digits(code) {
		return fmt.Errorf("%w: the status is no number of three digits", errMalformed)
	}
	resp.StatusCode = int(code[0]-'0')*100 + int(code[1]-'0')*10 + int(code[2]-'0')
	return nil
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// fields reads field lines up to the empty line. All values share one array. Each slice is capped,
// so that appending to it never overwrites the next value.
func fields(s string) (http.Header, error) {
	n := strings.Count(s, "\n")
	h, values := make(http.Header, min(n, maxHint)), make([]string, 0, min(n, maxHint))
	for {
		line, rest := cutLine(s)
		if line == "" {
			return h, nil
		}
		name, value, err := field(line)
		if err != nil {
			return nil, err
		}
		for rest != "" && (rest[0] == ' ' || rest[0] == '\t') {
			if value, rest, err = unfold(value, rest); err != nil {
				return nil, err
			}
		}
		s = rest
		if before := h[name]; before != nil {
			h[name] = append(before, value)
			continue
		}
		if len(values) == cap(values) {
			values = make([]string, 0, maxHint)
		}
		values = append(values, value)
		h[name] = values[len(values)-1 : len(values) : len(values)]
	}
}

// maxHint bounds the memory that is allocated before the fields arrive.
const maxHint = 64

// field reads one line. Space between the name and the colon is removed (RFC 9112 §5.1).
func field(line string) (name, value string, err error) {
	i := strings.IndexByte(line, ':')
	if i <= 0 {
		return "", "", errField
	}
	name = line[:i]
	if name[i-1] == ' ' {
		name = strings.TrimRight(name, " ")
	}
	if !httpguts.ValidHeaderFieldName(name) {
		return "", "", errField
	}
	if value, err = content(line[i+1:]); err != nil {
		return "", "", err
	}
	return textproto.CanonicalMIMEHeaderKey(name), value, nil
}

// content is the value of a field without the space around it. A value must not contain control
// characters (RFC 9110 §5.5).
func content(s string) (string, error) {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return "", errField
		}
	}
	return textproto.TrimString(s), nil
}

// unfold adds the first line of rest to value. A single space replaces the fold (RFC 9112 §5.2).
func unfold(value, rest string) (string, string, error) {
	line, rest := cutLine(rest)
	more, err := content(line)
	if err != nil {
		return "", "", err
	}
	if more == "" {
		return value, rest, nil
	}
	return textproto.TrimString(value + " " + more), rest, nil
}

// pragma takes Pragma: no-cache for Cache-Control: no-cache, as net/http does, by which other
// targets are read.
func pragma(h http.Header) {
	if p := h["Pragma"]; len(p) > 0 && p[0] == "no-cache" && h["Cache-Control"] == nil {
		h["Cache-Control"] = []string{"no-cache"}
	}
}

// frame finds where the body ends (RFC 9112 §6.3). It removes the framing fields from the header,
// but keeps a Content-Length that applies.
func frame(resp *http.Response, method string) (Framing, error) {
	h := resp.Header
	resp.Close = closes(resp)
	chunked, err := transferCoding(resp)
	if err != nil {
		return NoBody, err
	}
	length, err := contentLength(h)
	if err != nil {
		return NoBody, err
	}
	if chunked {
		if length >= 0 || resp.ProtoMinor == 0 {
			// RFC 9112 §6.1: a sender of both a coding and a length may have been tricked into it,
			// and HTTP/1.0 does not know the coding.
			resp.Close = true
			if hasBody(resp, method) {
				return NoBody, fault.ErrFraming
			}
		}
		delete(h, "Content-Length")
		length = -1
		if resp.Trailer, err = announced(h); err != nil {
			return NoBody, err
		}
	}
	resp.ContentLength = length
	switch {
	case method == http.MethodHead:
		return NoBody, nil
	case !hasBody(resp, method):
		resp.ContentLength = 0
		return NoBody, nil
	case chunked:
		return Chunked, nil
	case length == 0:
		return NoBody, nil
	case length > 0:
		return Length, nil
	}
	resp.Close = true
	return UntilClose, nil
}

// hasBody reports whether a response to a request with the given method has a body (RFC 9112 §6.3).
func hasBody(resp *http.Response, method string) bool {
	return method != http.MethodHead && resp.StatusCode >= 200 && resp.StatusCode != http.StatusNoContent && resp.StatusCode != http.StatusNotModified
}

// closes reports whether the connection ends with the response (RFC 9112 §9.3).
func closes(resp *http.Response) bool {
	connection := resp.Header["Connection"]
	if resp.ProtoMinor == 0 {
		return len(connection) == 0 || httpguts.HeaderValuesContainsToken(connection, "close") || !httpguts.HeaderValuesContainsToken(connection, "keep-alive")
	}
	return len(connection) > 0 && httpguts.HeaderValuesContainsToken(connection, "close")
}

// transferCoding takes Transfer-Encoding out of the header and reports whether it says chunked.
// Anything else that it says is refused.
func transferCoding(resp *http.Response) (chunked bool, err error) {
	lines, present := resp.Header["Transfer-Encoding"]
	if !present {
		return false, nil
	}
	delete(resp.Header, "Transfer-Encoding")
	if len(lines) != 1 || !strings.EqualFold(lines[0], "chunked") {
		return false, fmt.Errorf("unsupported transfer coding %q", lines)
	}
	return true, nil
}

var errLength = errors.New("invalid Content-Length")

// contentLength is the length that h gives, or -1 if it gives no length. If several lines agree,
// they become one.
func contentLength(h http.Header) (int64, error) {
	lines := h["Content-Length"]
	if len(lines) == 0 {
		return -1, nil
	}
	for _, l := range lines[1:] {
		if l != lines[0] {
			return 0, errLength
		}
	}
	if len(lines) > 1 {
		h["Content-Length"] = lines[:1:1]
	}
	if !digits(lines[0]) {
		return 0, errLength
	}
	n, err := strconv.ParseUint(lines[0], 10, 63)
	if err != nil {
		return 0, errLength
	}
	return int64(n), nil
}

// announced takes the names of trailer fields out of the header (RFC 9110 §6.6.2). Their values
// come with the end of the body.
func announced(h http.Header) (http.Header, error) {
	lines, present := h["Trailer"]
	if !present {
		return nil, nil
	}
	delete(h, "Trailer")
	var trailer http.Header
	for _, line := range lines {
		for name := range strings.SplitSeq(line, ",") {
			name = textproto.CanonicalMIMEHeaderKey(textproto.TrimString(name))
			switch name {
			case "":
				continue
			case "Transfer-Encoding", "Trailer", "Content-Length":
				return nil, fmt.Errorf("%s is announced as a trailer", name)
			}
			if trailer == nil {
				trailer = make(http.Header)
			}
			trailer[name] = nil
		}
	}
	return trailer, nil
}
