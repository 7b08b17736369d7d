package h1

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/net/http/httpguts"

	"github.com/penstock/penstock/proxy/upstream/hop"
)

var heads = sync.Pool{New: func() any { b := make([]byte, 0, 2<<10); return &b }}

// outField is a field that is about to be written.
type outField struct {
	name   string
	values []string
}

// appendHead writes the header section of r. It leaves out the fields that end at this hop, adds
// those about the next hop, and sorts by name.
func (s *Sender) appendHead(b []byte, r *http.Request, upgrading, parent string, body io.ReadCloser) ([]byte, error) {
	b, err := s.appendRequestLine(b, r)
	if err != nil {
		return b, err
	}
	host := s.Target.Host
	if s.PreserveHost && r.Host != "" {
		host = r.Host
	}
	if !httpguts.ValidHostHeader(host) {
		return b, fmt.Errorf("invalid host %q", host)
	}
	b = append(append(append(b, "Host: "...), host...), "\r\n"...)
	for _, agent := range r.Header["User-Agent"] {
		if b, err = appendField(b, "User-Agent", agent); err != nil {
			return b, err
		}
	}
	b = appendFraming(b, r, body)
	var room [16]outField
	for _, f := range outFields(room[:0], r, upgrading, parent, body != nil) {
		for _, v := range f.values {
			if b, err = appendField(b, f.name, v); err != nil {
				return b, err
			}
		}
	}
	return append(b, "\r\n"...), nil
}

func (s *Sender) appendRequestLine(b []byte, r *http.Request) ([]byte, error) {
	if !httpguts.ValidHeaderFieldName(r.Method) {
		return b, fmt.Errorf("invalid method %q", r.Method)
	}
	b = append(append(b, r.Method...), ' ')
	start := len(b)
	b = s.Target.AppendTarget(b, r.URL)
	for _, c := range b[start:] {
		if c <= ' ' || c == 0x7f {
			return b, fmt.Errorf("the request target holds characters that must be escaped")
		}
	}
	return append(b, " HTTP/1.1\r\n"...), nil
}

// appendFraming announces the body (RFC 9112 §6).
func appendFraming(b []byte, r *http.Request, body io.ReadCloser) []byte {
	switch size := hop.BodySize(r); {
	case body == nil && (r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch):
		return append(b, "Content-Length: 0\r\n"...)
	case body == nil:
		return b
	case size >= 0:
		return append(strconv.AppendInt(append(b, "Content-Length: "...), size, 10), "\r\n"...)
	}
	b = append(b, "Transfer-Encoding: chunked\r\n"...)
	if names := hop.TrailerNames(r.Trailer); len(names) > 0 {
		b = append(append(append(b, "Trailer: "...), strings.Join(names, ",")...), "\r\n"...)
	}
	return b
}

// outFields collects the fields that go on, in the order of their names.
func outFields(out []outField, r *http.Request, upgrading, parent string, body bool) []outField {
	drop := hop.Named(r.Header)
	for name, values := range r.Header {
		switch {
		case hop.EndsHere(name) || hop.Framing[name] || drop[name]:
		case name == "User-Agent" || name == "Via" || name == "Traceparent" && parent != "":
		case name == "Expect" && !(body && hop.ExpectsContinue(r.Header)): // RFC 9110 §10.1.1: not without content
		default:
			out = insert(out, outField{name, values})
		}
	}
	if old := r.Header["Via"]; len(old) > 0 {
		out = insert(out, outField{"Via", append(old[:len(old):len(old)], hop.Via(r.ProtoMajor, r.ProtoMinor))})
	} else {
		out = insert(out, outField{"Via", hop.ViaAlone(r.ProtoMajor, r.ProtoMinor)})
	}
	if parent != "" {
		out = insert(out, outField{"Traceparent", []string{parent}})
	}
	switch {
	case upgrading != "":
		out = insert(out, outField{"Connection", connectionUpgrade})
		out = insert(out, outField{"Upgrade", []string{upgrading}})
	case len(r.Header["Te"]) > 0 && hop.WantsTrailers(r.Header):
		out = insert(out, outField{"Connection", connectionTE}) // RFC 9110 §10.1.4
		out = insert(out, outField{"Te", trailersOnly})
	}
	return out
}

// The values of fields that many requests have alike. They are never changed.
var (
	connectionUpgrade = []string{"Upgrade"}
	connectionTE      = []string{"TE"}
	trailersOnly      = []string{"trailers"}
)

// insert keeps out in the order of names. It is not inlined, because its copies would make the stack
// of outFields large.
//
//go:noinline
func insert(out []outField, f outField) []outField {
	out = append(out, f)
	for i := len(out) - 1; i > 0 && out[i].name < out[i-1].name; i-- {
		out[i], out[i-1] = out[i-1], out[i]
	}
	return out
}

// appendField writes one field line. It refuses a value that would make more than one line, even
// though the parser should have refused it before.
func appendField(b []byte, name, value string) ([]byte, error) {
	if !httpguts.ValidHeaderFieldName(name) {
		return b, fmt.Errorf("invalid field name %q", name)
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return b, fmt.Errorf("invalid value of field %s", name)
		}
	}
	return append(append(append(append(b, name...), ": "...), value...), "\r\n"...), nil
}
