package cache

import (
	"net/http"
	"strings"
)

const (
	maxTags     = 128 // of one response; a longer list is cut
	maxTagBytes = 256 // of one tag; a longer one is left out
)

// take reads the tags of a response, and removes their field where clients are not to see it.
func (t *Tags) take(h http.Header, r *http.Request) []string {
	var tags []string
	if t.Header != "" {
		for _, line := range h[t.Header] {
			tags = appendTags(tags, line)
		}
		if !t.Send {
			delete(h, t.Header)
		}
	}
	if t.Expand != nil {
		for _, tag := range t.Expand(r) {
			tags = appendTags(tags, tag)
		}
	}
	return tags
}

// appendTags splits a field line at spaces and commas.
func appendTags(tags []string, line string) []string {
	for tag := range strings.FieldsFuncSeq(line, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' }) {
		if len(tags) < maxTags && len(tag) <= maxTagBytes {
			tags = append(tags, tag)
		}
	}
	return tags
}
