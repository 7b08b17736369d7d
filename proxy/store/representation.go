package store

import (
	"io"
	"iter"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

var _ io.WriterTo = Body{}

// NewBody returns the body that consists of the given segments. The caller must not change them
// afterwards.
func NewBody(segments ...[]byte) Body {
	b := Body{Segments: segments}
	for _, s := range segments {
		b.Size += int64(len(s))
	}
	return b
}

// Slice returns up to n bytes from offset off as views of the segments, without copying. If the
// range exceeds the body, Slice returns the part inside the body.
func (b Body) Slice(off, n int64) [][]byte {
	if off < 0 || n <= 0 || off >= b.Size {
		return nil
	}
	n = min(n, b.Size-off)
	if off == 0 && n == b.Size {
		return b.Segments
	}
	var views [][]byte
	for _, s := range b.Segments {
		size := int64(len(s))
		if off >= size {
			off -= size
			continue
		}
		end := min(size, off+n)
		views = append(views, s[off:end:end])
		if n -= end - off; n == 0 {
			break
		}
		off = 0
	}
	return views
}

// WriteTo writes the segments in order.
func (b Body) WriteTo(w io.Writer) (n int64, err error) {
	for _, s := range b.Segments {
		k, err := w.Write(s)
		n += int64(k)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

const protocol = "HTTP/1.1 "

// BuildHead renders a status line and the fields of h in the form of Representation.Head. Each
// value has its own line, names are canonical and sorted, and values of one name keep their order.
// It omits a field if drop returns true for its name; drop may be nil. It also omits a field if its
// name is not a token or its value holds a control character such as CR or LF, because such a field
// could forge other lines.
func BuildHead(status int, h http.Header, drop func(name string) bool) string {
	var b strings.Builder
	b.Grow(headSize(h))
	b.WriteString(protocol)
	b.WriteString(strconv.Itoa(status))
	b.WriteByte(' ')
	b.WriteString(http.StatusText(status))
	b.WriteString("\r\n")
	for _, key := range slices.Sorted(maps.Keys(h)) {
		name := http.CanonicalHeaderKey(key)
		if !httpguts.ValidHeaderFieldName(name) || drop != nil && drop(name) {
			continue
		}
		for _, value := range h[key] {
			writeLine(&b, name, value)
		}
	}
	return b.String()
}

func writeLine(b *strings.Builder, name, value string) {
	if !httpguts.ValidHeaderFieldValue(value) {
		return
	}
	b.WriteString(name)
	b.WriteString(": ")
	b.WriteString(strings.Trim(value, " \t"))
	b.WriteString("\r\n")
}

// headSize returns an upper bound of the rendered size of h, so that rendering allocates once.
func headSize(h http.Header) int {
	n := 64
	for name, values := range h {
		for _, value := range values {
			n += len(name) + len(value) + len(": \r\n")
		}
	}
	return n
}

// Status returns the code of the status line, or 0 if it is malformed.
func (r *Representation) Status() int {
	line, _, _ := strings.Cut(r.Head, "\r\n")
	if len(line) < len(protocol)+3 {
		return 0
	}
	code, err := strconv.Atoi(line[len(protocol) : len(protocol)+3])
	if err != nil {
		return 0
	}
	return code
}

// Fields iterates over the field lines. Names and values are substrings of Head, so nothing is
// allocated.
func (r *Representation) Fields() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		_, rest, _ := strings.Cut(r.Head, "\r\n")
		for rest != "" {
			var line string
			line, rest, _ = strings.Cut(rest, "\r\n")
			name, value, found := strings.Cut(line, ": ")
			if found && !yield(name, value) {
				return
			}
		}
	}
}

// Field returns the value of the first line with the given name, which must be canonical.
func (r *Representation) Field(name string) (value string, ok bool) {
	for n, v := range r.Fields() {
		if n == name {
			return v, true
		}
	}
	return "", false
}

// Header returns the field lines as a new map that the caller may change. It allocates; callers
// that only read use Fields.
func (r *Representation) Header() http.Header {
	n := strings.Count(r.Head, "\r\n")
	h := make(http.Header, n)
	values := make([]string, 0, n) // one backing array for all single values
	for name, value := range r.Fields() {
		if had, ok := h[name]; ok {
			h[name] = append(had, value)
			continue
		}
		values = append(values, value)
		h[name] = values[len(values)-1 : len(values) : len(values)]
	}
	return h
}
