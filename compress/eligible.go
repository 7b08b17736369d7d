package compress

import (
	"net/http"
	"strings"
)

// Policy says which responses to compress, and how. It is immutable once in use.
type Policy struct {
	Encodings []Coding     // allowed codings in order of preference; an empty list turns compression off
	MinSize   int64        // bodies known to be smaller are not compressed
	Level     [codings]int // by coding, for bodies compressed while a client waits; 0 is the coding's default
	Types     []string     // media types: type/subtype, type/*, type/*+suffix, */*; nil is DefaultTypes
}

// DefaultTypes are the media types worth compressing. Callers must not change it.
var DefaultTypes = []string{
	"text/*", "application/json", "application/*+json", "application/javascript", "application/x-javascript",
	"application/xml", "application/*+xml", "application/x-ndjson", "application/manifest+json", "application/wasm",
	"image/svg+xml", "image/bmp", "image/x-icon",
	"image/vnd.microsoft.icon", "font/ttf", "font/otf", "application/vnd.ms-fontobject", "model/gltf+json",
}

// Reason says why a response is not compressed.
type Reason uint8

const (
	ReasonNone        Reason = iota // it may be compressed
	ReasonOff                       // the policy has no codings
	ReasonStatus                    // the status has no content, or is interim
	ReasonPartial                   // it holds ranges of a representation
	ReasonCoded                     // it already has a coding
	ReasonNoTransform               // Cache-Control: no-transform
	ReasonDigest                    // it carries a digest that compression would invalidate
	ReasonType                      // its media type is not in the policy
	ReasonSize                      // it is too small
)

// reasons holds the words for reasons.
var reasons = [...]string{
	ReasonNone: "none", ReasonOff: "off", ReasonStatus: "status", ReasonPartial: "partial", ReasonCoded: "coded",
	ReasonNoTransform: "no-transform", ReasonDigest: "digest", ReasonType: "type", ReasonSize: "size",
}

// String returns the reason as one word, which is the same in log, metric and header.
func (r Reason) String() string {
	if int(r) < len(reasons) {
		return reasons[r]
	}
	return "unknown"
}

// Eligible reports whether a response may and should be compressed, and the reason if not. size is
// the length of its content, or -1 if it is unknown. coding is its current coding. A response to
// HEAD counts like the response to GET: the caller sends no content, but the same fields.
func (p *Policy) Eligible(status int, h http.Header, size int64, coding Coding) (bool, Reason) {
	why := p.refusal(status, h, size, coding)
	return why == ReasonNone, why
}

// refusal returns the reason why a response is not compressed, or ReasonNone if it is.
func (p *Policy) refusal(status int, h http.Header, size int64, coding Coding) Reason {
	switch {
	case len(p.Encodings) == 0:
		return ReasonOff
	case status == http.StatusPartialContent || len(h["Content-Range"]) > 0:
		// RFC 9110 §14.4: ranges count bytes of the coded representation, so the coding can't
		// change now.
		return ReasonPartial
	case !hasContent(status):
		return ReasonStatus
	case coding != Identity:
		return ReasonCoded
	case NoTransform(h):
		return ReasonNoTransform
	case carriesDigest(h):
		return ReasonDigest
	case size >= 0 && size < max(p.MinSize, 1):
		return ReasonSize
	case !p.matchesType(h):
		return ReasonType
	}
	return ReasonNone
}

// hasContent reports whether a response with this status can have content (RFC 9110 §6.4.1).
func hasContent(status int) bool {
	switch status {
	case http.StatusNoContent, http.StatusResetContent, http.StatusNotModified:
		return false
	}
	return status >= 200
}

// carriesDigest reports whether a response has a digest of its content (RFC 9530, and the older
// fields), or a signature that may cover one (RFC 9421).
func carriesDigest(h http.Header) bool {
	return len(h["Content-Digest"]) > 0 || len(h["Repr-Digest"]) > 0 || len(h["Digest"]) > 0 ||
		len(h["Content-Md5"]) > 0 || len(h["Signature-Input"]) > 0
}

// matchesType reports whether the policy contains the media type.
func (p *Policy) matchesType(h http.Header) bool {
	media, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	types := p.Types
	if types == nil {
		types = DefaultTypes
	}
	for _, pattern := range types {
		if matchMedia(pattern, trimOWS(media)) {
			return true
		}
	}
	return false
}

// matchMedia reports whether a media type matches a pattern. It ignores case.
func matchMedia(pattern, media string) bool {
	kind, sub, ok := strings.Cut(media, "/")
	wantKind, wantSub, wantOK := strings.Cut(pattern, "/")
	if !ok || !wantOK || kind == "" || sub == "" {
		return false
	}
	if wantKind != "*" && !strings.EqualFold(wantKind, kind) {
		return false
	}
	suffix, wild := strings.CutPrefix(wantSub, "*")
	if !wild {
		return strings.EqualFold(wantSub, sub)
	}
	return len(sub) >= len(suffix) && strings.EqualFold(sub[len(sub)-len(suffix):], suffix)
}
