package entry

import (
	"iter"
	"net/http"
	"strings"
)

// TagField is the response field in which origins name tags.
type TagField struct {
	Name     string                // in canonical form; "" if origins name no tags
	Send     bool                  // pass it on to clients, without internal tags
	Internal func(tag string) bool // reports whether a tag must not leave the process; nil if there is no such tag
}

// Hide removes the tags that clients may not see from h.
func (t TagField) Hide(h http.Header) {
	switch {
	case !t.Send:
		delete(h, t.Name)
	case t.Internal != nil && len(h[t.Name]) > 0:
		t.hideInternal(h)
	}
}

func (t TagField) hideInternal(h http.Header) {
	var shown []string
	hidden := false
	for _, line := range h[t.Name] {
		for tag := range Words(line) {
			if t.Internal(tag) {
				hidden = true
			} else {
				shown = append(shown, tag)
			}
		}
	}
	if !hidden {
		return
	}
	delete(h, t.Name)
	if len(shown) > 0 {
		h[t.Name] = []string{strings.Join(shown, " ")}
	}
}

// Words splits a field line at spaces and commas.
func Words(line string) iter.Seq[string] {
	return strings.FieldsFuncSeq(line, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' })
}
