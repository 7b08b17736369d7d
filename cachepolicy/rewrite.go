package cachepolicy

import (
	"net/http"
	"slices"
	"strings"
)

// ApplyCacheControl writes Cache-Control into h, in place, by the first of the rules whose conditions hold for the response and its
// request. A rule that does not override leaves a response alone whose origin sent Cache-Control or Expires, and ends the search
// all the same: what the first match says, it says for good. It is called before Settle, which takes the lifetime from h.
//
// A 304 is left alone: it has not the fields that the conditions look at, and what it leaves out is not absent. Settle applies the
// rules to what it makes of the stored response.
func (r *Rules) ApplyCacheControl(q *Request, status int, h http.Header) {
	i := r.MatchCacheControl(q, status, h)
	if i < 0 {
		return
	}
	rule := &r.CacheControl[i]
	if rule.Override {
		r.silence(h)
	}
	if len(h["Cache-Control"]) == 0 && len(h["Expires"]) == 0 {
		h["Cache-Control"] = []string{rule.Set}
	}
}

// MatchCacheControl is the index of the rule by which ApplyCacheControl goes for a response, -1 when it goes by none.
func (r *Rules) MatchCacheControl(q *Request, status int, h http.Header) int {
	if status == http.StatusNotModified {
		return -1
	}
	return slices.IndexFunc(r.CacheControl, func(rule CacheControlRule) bool { return rule.matches(q, status, h) })
}

// silence removes all by which an origin names a lifetime, so that the rule alone decides, here and further down.
func (r *Rules) silence(h http.Header) {
	for _, name := range [...]string{"Cache-Control", "Expires", "Pragma"} {
		delete(h, name)
	}
	for _, name := range r.targets() {
		delete(h, name)
	}
}

func (rule *CacheControlRule) matches(q *Request, status int, h http.Header) bool {
	switch {
	case len(rule.Status) > 0:
		if !slices.Contains(rule.Status, status) {
			return false
		}
	case status >= 400 && rule.grants():
		return false // one failure of the origin must not become a page for a year because its type is text/css
	}
	media := mediaType(h)
	if len(rule.ContentTypes) > 0 && !slices.ContainsFunc(rule.ContentTypes, func(p string) bool { return mediaMatches(p, media) }) {
		return false
	}
	if len(rule.Extensions) == 0 {
		return true
	}
	ext := extension(q.Path)
	return slices.Contains(rule.Extensions, ext) && fitsExtension(ext, media)
}

// grants reports whether the rule gives a response a life in caches.
func (rule *CacheControlRule) grants() bool {
	c := parseCacheControl([]string{rule.Set})
	return c.any(hasPublic|hasImmutable) || c.maxAge > 0 || c.sMaxAge > 0
}

// mediaType is the Content-Type in lower case, without parameters.
func mediaType(h http.Header) string {
	media, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.ToLower(trimOWS(media))
}

// mediaMatches compares a media type with a pattern such as "text/*".
func mediaMatches(pattern, media string) bool {
	pattern = strings.ToLower(pattern)
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(media, prefix)
	}
	return media == pattern
}

// extension is what follows the last dot of the path's last segment, in lower case. A path with anything encoded or with parameters
// in that segment has none: it may mean one thing here and another to the origin.
func extension(path string) string {
	segment := path[strings.LastIndexByte(path, '/')+1:]
	if strings.ContainsAny(segment, "%;") {
		return ""
	}
	dot := strings.LastIndexByte(segment, '.')
	if dot < 0 {
		return ""
	}
	return strings.ToLower(segment[dot+1:])
}

// extensionTypes are the media types that a file of the extension has. A response of another type is not that file: /account/x.css
// that answers HTML is someone's account page.
var extensionTypes = map[string][]string{
	"html": {"text/html", "application/xhtml+xml"}, "htm": {"text/html", "application/xhtml+xml"},
	"xhtml": {"application/xhtml+xml", "text/html"},
	"css":   {"text/css"},
	"js":    {"text/javascript", "application/javascript", "application/x-javascript"},
	"mjs":   {"text/javascript", "application/javascript", "application/x-javascript"},
	"json":  {"application/json", "text/json", "application/ld+json", "application/manifest+json", "application/geo+json"},
	"map":   {"application/json", "application/octet-stream", "text/plain"},
	"xml":   {"application/xml", "text/xml", "application/rss+xml", "application/atom+xml"},
	"rss":   {"application/rss+xml", "application/xml", "text/xml"},
	"atom":  {"application/atom+xml", "application/xml", "text/xml"},
	"txt":   {"text/plain"}, "csv": {"text/csv", "text/plain"}, "md": {"text/markdown", "text/plain"},
	"webmanifest": {"application/manifest+json", "application/json"},
	"wasm":        {"application/wasm"}, "pdf": {"application/pdf"},
	"jpg": {"image/jpeg"}, "jpeg": {"image/jpeg"}, "png": {"image/png"}, "gif": {"image/gif"}, "webp": {"image/webp"},
	"avif": {"image/avif"}, "svg": {"image/svg+xml"}, "bmp": {"image/bmp"}, "tif": {"image/tiff"}, "tiff": {"image/tiff"},
	"ico": {"image/x-icon", "image/vnd.microsoft.icon"},
	"ttf": {"font/*", "application/x-font-ttf", "application/font-sfnt"}, "otf": {"font/*", "application/x-font-otf", "application/font-sfnt"},
	"woff": {"font/*", "application/font-woff", "application/x-font-woff"}, "woff2": {"font/*", "application/font-woff2"},
	"eot": {"application/vnd.ms-fontobject"},
	"mp3": {"audio/mpeg", "audio/mp3"}, "ogg": {"audio/ogg", "video/ogg", "application/ogg"}, "wav": {"audio/*"}, "flac": {"audio/*"},
	"m4a": {"audio/*"}, "mp4": {"video/mp4", "audio/mp4"}, "m4v": {"video/*"}, "webm": {"video/webm", "audio/webm"},
	"mov": {"video/quicktime"}, "m3u8": {"application/vnd.apple.mpegurl", "application/x-mpegurl", "audio/mpegurl"},
	"ts": {"video/mp2t", "text/typescript", "application/typescript"}, "mpd": {"application/dash+xml"},
	"zip": {"application/zip", "application/x-zip-compressed", "application/octet-stream"},
	"gz":  {"application/gzip", "application/x-gzip", "application/octet-stream"},
	"tgz": {"application/gzip", "application/x-gzip", "application/octet-stream"},
}

// fitsExtension reports whether a file of this extension may have this media type. Of an extension that is not in the table it is
// only known that it is no page: whatever can carry a person's data in a browser's window does not pass for a file.
func fitsExtension(ext, media string) bool {
	types, known := extensionTypes[ext]
	if !known {
		return media != "" && !mediaMatches("text/html", media) && !mediaMatches("application/xhtml+xml", media) &&
			!mediaMatches("application/json", media)
	}
	return slices.ContainsFunc(types, func(p string) bool { return mediaMatches(p, media) })
}
