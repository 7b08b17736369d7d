package cache

import (
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/store"
)

// ensureDate gives a response without a Date the time it was received (RFC 9110 §6.6.1).
func ensureDate(h http.Header, received time.Time) {
	if len(h["Date"]) == 0 {
		h["Date"] = []string{received.UTC().Format(http.TimeFormat)}
	}
}

// dropFromStored are the fields that a delivery writes itself, each time anew.
func dropFromStored(name string) bool {
	switch name {
	case "Age", "Content-Length", "Connection", "Trailer":
		return true
	}
	return false
}

// codedHeader is header for the same response under another coding. The strong validator of one is not that of the other, so it is
// weakened (RFC 9110 §8.8.1); digests of the content, and the promise of ranges, go.
func codedHeader(header http.Header, coding compress.Coding) http.Header {
	h := maps.Clone(header)
	if coding == compress.Identity {
		delete(h, "Content-Encoding")
	} else {
		h["Content-Encoding"] = []string{coding.String()}
	}
	if tag := header.Get("ETag"); tag != "" {
		h["Etag"] = []string{compress.WeakenETag(tag)}
	}
	for _, name := range [...]string{"Content-Md5", "Content-Digest", "Digest", "Accept-Ranges"} {
		delete(h, name)
	}
	return h
}

// codedHead is the wire form of codedHeader.
func codedHead(status int, header http.Header, coding compress.Coding) string {
	return store.BuildHead(status, codedHeader(header, coding), dropFromStored)
}

// codedRepresentation is body under coding, with the header fields that go with it.
func codedRepresentation(status int, header http.Header, coding compress.Coding, body store.Body) store.Representation {
	return store.Representation{Coding: coding, Head: codedHead(status, header, coding), Body: body}
}

// setHeader makes dst equal to src, which is another map.
func setHeader(dst, src http.Header) {
	clear(dst)
	maps.Copy(dst, src)
}

// addFields adds the stored field lines to h: the names are canonical, and all values share one array.
func addFields(h http.Header, rep *store.Representation) {
	values := make([]string, 0, strings.Count(rep.Head, "\n"))
	for name, value := range rep.Fields() {
		if before := h[name]; before != nil {
			h[name] = append(before, value)
			continue
		}
		values = append(values, value)
		h[name] = values[len(values)-1 : len(values) : len(values)]
	}
}
