package deliver

import (
	"maps"
	"net/http"
	"strings"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/store"
)

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

// SetHeader makes dst equal to src, which is another map.
func SetHeader(dst, src http.Header) {
	clear(dst)
	maps.Copy(dst, src)
}

// addFields adds the stored field lines to h. Their names are canonical. All values share one
// array.
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
