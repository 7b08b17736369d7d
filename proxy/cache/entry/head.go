package entry

import (
	"maps"
	"net/http"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
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
