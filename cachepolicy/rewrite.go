package cachepolicy

import (
	"net/http"
	"slices"
	"strings"
)

// ApplyCacheControl writes Cache-Control into h, in place, according to the first rule whose
// conditions match the response and its request. If that rule does not override and the origin sent
// Cache-Control or Expires, the response stays unchanged, and no later rule applies. Call it before
// Settle, which takes the lifetime from h.
//
// ApplyCacheControl does not change a 304: it lacks the fields that the conditions read, and a
// field that it omits is not absent from the representation. Settle applies the rules to the stored
// response after the update.
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

// MatchCacheControl returns the index of the rule that ApplyCacheControl uses for a response, or -1
// if no rule matches.
func (r *Rules) MatchCacheControl(q *Request, status int, h http.Header) int {
	if status == http.StatusNotModified {
		return -1
	}
	return slices.IndexFunc(r.CacheControl, func(rule CacheControlRule) bool { return rule.matches(q, status, h) })
}

// silence removes all fields in which the origin sends a lifetime, so that the rule alone decides,
// in this cache and in the caches behind it.
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
		if !slices.Contains(rule.Status, status) && !(status == http.StatusPartialContent && slices.Contains(rule.Status, http.StatusOK)) {
			return false // a part of a 200 uses the rule for 200; otherwise a request for a range would avoid the rule
		}
	case status >= 400 && rule.grants():
		return false // one error of the origin must not be cached for a year because its type is text/css
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

// grants reports whether the rule lets caches store or reuse the response.
func (rule *CacheControlRule) grants() bool {
	c := parseCacheControl([]string{rule.Set})
	return c.any(hasPublic|hasImmutable) || c.maxAge > 0 || c.sMaxAge > 0
}

// mediaType returns the Content-Type in lower case, without parameters.
func mediaType(h http.Header) string {
	media, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.ToLower(trimOWS(media))
}

// mediaMatches reports whether a media type matches a pattern such as "text/*".
func mediaMatches(pattern, media string) bool {
	pattern = strings.ToLower(pattern)
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(media, prefix)
	}
	return media == pattern
}

// extension returns the text after the last dot of the path's last segment, in lower case. It
// returns "" if that segment contains an escape or a parameter, because the origin may interpret it
// differently.
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

// extensionTypes lists the media types that a file with the extension can have. A response of
// another type is not that file: if /account/x.css answers with HTML, it is a user's account page.
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

// dynamicTypes lists media types that are as common for answers to one user as for files.
var dynamicTypes = []string{
	"text/html", "application/xhtml+xml", "application/json", "text/json", "application/ld+json", "application/xml", "text/xml", "text/plain", "text/csv",
	"application/pdf", "application/octet-stream",
}

// exposesPages reports whether the rule makes a response public because of an extension whose media
// types dynamic answers have too. The type then does not prove that the response is a file: an
// origin that ignores the tail of a path serves /account/x.html as a user's account page.
func (rule *CacheControlRule) exposesPages(h http.Header) bool {
	return len(rule.Extensions) > 0 && rule.grants() && slices.Contains(dynamicTypes, mediaType(h))
}

// fitsExtension reports whether a file with this extension can have this media type. For an
// extension that is not in the table, it accepts any type except HTML, XHTML and JSON, since these
// can show a user's data in a browser window.
func fitsExtension(ext, media string) bool {
	types, known := extensionTypes[ext]
	if !known {
		return media != "" && !mediaMatches("text/html", media) && !mediaMatches("application/xhtml+xml", media) &&
			!mediaMatches("application/json", media)
	}
	return slices.ContainsFunc(types, func(p string) bool { return mediaMatches(p, media) })
}
