package entry

import (
	"maps"
	"net/http"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/store"
)

// BodyAllowed reports whether a response with the status may have content (RFC 9110 §6.4.1).
func BodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// CodedHeader returns header for the same response under another coding. A strong validator holds
// for one coding only, so the ETag is marked (RFC 9110 §8.8.3). Digests of the content and
// Accept-Ranges are removed.
func CodedHeader(header http.Header, coding compress.Coding) http.Header {
	h := maps.Clone(header)
	if coding == compress.Identity {
		delete(h, "Content-Encoding")
	} else {
		h["Content-Encoding"] = []string{coding.String()}
	}
	if tag := header.Get("ETag"); tag != "" {
		h["Etag"] = []string{cachepolicy.MarkETag(tag, coding.String())}
	}
	for _, name := range [...]string{"Content-Md5", "Content-Digest", "Digest", "Accept-Ranges"} {
		delete(h, name)
	}
	return h
}

// ensureDate gives a response without a Date the time at which it was received (RFC 9110 §6.6.1).
func ensureDate(h http.Header, received time.Time) {
	if len(h["Date"]) == 0 {
		h["Date"] = []string{received.UTC().Format(http.TimeFormat)}
	}
}

// dropFromStored reports whether a field is left out of the stored head, because each delivery
// writes it anew.
func dropFromStored(name string) bool {
	switch name {
	case "Age", "Content-Length", "Connection", "Trailer":
		return true
	}
	return false
}

// buildHead returns the wire form of a stored head.
func buildHead(status int, h http.Header) string { return store.BuildHead(status, h, dropFromStored) }

// codedHead returns the wire form of CodedHeader.
func codedHead(status int, header http.Header, coding compress.Coding) string {
	return buildHead(status, CodedHeader(header, coding))
}

// CodedRepresentation returns body under coding, with the matching header fields.
func CodedRepresentation(status int, header http.Header, coding compress.Coding, body store.Body) store.Representation {
	return store.Representation{Coding: coding, Head: codedHead(status, header, coding), Body: body}
}
