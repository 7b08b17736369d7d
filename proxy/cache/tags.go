package cache

import (
	"net/http"
	"strings"
)

const (
	maxTags     = 128 // of one response; a longer list is cut
	maxTagBytes = 256 // of one tag; a longer one is left out
)

// Tags says where the tags of a stored response come from.
type Tags struct {
	Header string // response field with space- or comma-separated tags; "" for none
	Send   bool   // pass that field on to clients
	// Expand gives further tags for a request; may be nil. It is called while the request is there.
	Expand func(*http.Request) []string
}

// of are the tags that follow from the request.
func (t *Tags) of(r *http.Request) []string {
	if t.Expand == nil {
		return nil
	}
	return t.Expand(r)
}

// take reads the tags of a response, puts those of its request behind them, and removes their field where clients are not to see it.
func (t *Tags) take(h http.Header, ofRequest []string) []string {
	var tags []string
	if t.Header != "" {
		for _, line := range h[t.Header] {
			tags = appendTags(tags, line)
		}
		if !t.Send {
			delete(h, t.Header)
		}
	}
	for _, tag := range ofRequest {
		tags = appendTags(tags, tag)
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
