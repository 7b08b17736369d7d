package store

import (
	"iter"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

const protocol = "HTTP/1.1 "

// BuildHead renders a status line and the fields of h in the form that Representation.Head has: one line each, canonical names in alphabetical
// order, values of one name in their order. Fields for which drop reports true are left out (drop may be nil). So is a field that can't be a
// line of its own because its name is no token or its value holds a control character such as CR or LF: left in, it could forge others.
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

// headSize is enough room for h as lines, so that rendering allocates once.
func headSize(h http.Header) int {
	n := 64
	for name, values := range h {
		for _, value := range values {
			n += len(name) + len(value) + len(": \r\n")
		}
	}
	return n
}

// Status is the status code of the status line, 0 when there is none.
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

// Fields walks over the field lines: names and values are parts of Head, nothing is allocated.
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

// Field is the value of the first line of that name, which must be in canonical form.
func (r *Representation) Field(name string) (value string, ok bool) {
	for n, v := range r.Fields() {
		if n == name {
			return v, true
		}
	}
	return "", false
}

// Header is the field lines as a map of its own that the caller may change. It is the slow way: what only looks uses Fields.
func (r *Representation) Header() http.Header {
	n := strings.Count(r.Head, "\r\n")
	h := make(http.Header, n)
	values := make([]string, 0, n) // one array for all the single values
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
