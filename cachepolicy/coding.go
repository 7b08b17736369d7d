package cachepolicy

import (
	"net/http"
	"strings"
)

// fixedMark begins the value of a selector that holds the content coding of a response instead of a
// request field's value. No field value can begin with this byte.
const fixedMark = "\x00"

const acceptEncoding = "Accept-Encoding"

// FixedCoding returns the content coding of a response if the gateway must not or cannot remove it,
// in normal form: lower case, with stacked codings separated by commas. It returns "" if the
// response has no coding, or if the gateway can decode it for a client. The no-transform directive
// forbids decoding (RFC 9111 §5.2.2.6), and a part of an encoded representation can't be decoded
// (RFC 9110 §14.4).
func FixedCoding(status int, h http.Header) string {
	coding := contentCoding(h["Content-Encoding"])
	if coding == "" || status == http.StatusPartialContent || len(h["Content-Range"]) > 0 {
		return coding
	}
	if c := parseCacheControl(h["Cache-Control"]); !isDecodable(coding) || c.any(hasNoTransform) {
		return coding
	}
	return ""
}

// isDecodable reports whether the gateway can decode the coding. The decoders are in package
// compress, and a test keeps the two in step.
func isDecodable(coding string) bool { return coding == "gzip" || coding == "br" || coding == "zstd" }

// contentCoding returns the normal form of the lines of Content-Encoding.
func contentCoding(lines []string) string {
	normal := ""
	for _, line := range lines {
		for member := range strings.SplitSeq(line, ",") {
			switch member = foldCoding(trimOWS(member)); {
			case member == "" || member == "identity":
			case normal == "":
				normal = member
			default:
				normal += "," + member
			}
		}
	}
	return normal
}

// foldCoding returns the lower-case name of a coding without its historic prefix (RFC 9110 §8.4.1).
func foldCoding(name string) string {
	switch name = strings.ToLower(name); name {
	case "x-gzip", "x-compress":
		return name[2:]
	}
	return name
}

// CanDecode reports whether the client can read a response with the given status and fields. It can
// if the gateway can decode the response, or if q accepts its content coding (RFC 9110 §12.5.3).
func CanDecode(q *Request, status int, h http.Header) bool {
	coding := FixedCoding(status, h)
	return coding == "" || acceptsCodings(q.Header[acceptEncoding], coding)
}

// acceptsCodings reports whether the Accept-Encoding lines accept every one of the codings, which
// are in normal form. If the field is absent, it reports false: the RFC then allows any coding, but
// in practice clients without the field can't decode. It allocates nothing.
func acceptsCodings(lines []string, codings string) bool {
	for codings != "" {
		var coding string
		coding, codings, _ = strings.Cut(codings, ",")
		if !acceptsCoding(lines, coding) {
			return false
		}
	}
	return true
}

// acceptsCoding is acceptsCodings for one coding. The coding's own member counts, and "*" counts
// only if there is no such member. If one of several members refuses the coding, it is refused.
func acceptsCoding(lines []string, coding string) bool {
	named, accepted, refused := false, false, false
	star, starRefused := false, false
	for _, line := range lines {
		for line != "" {
			var member string
			member, line, _ = strings.Cut(line, ",")
			name, params, _ := strings.Cut(member, ";")
			name = trimOWS(name)
			positive, valid := acceptsWeight(params)
			switch {
			case name == "*":
				star, starRefused = star || valid && positive, starRefused || valid && !positive
			case sameCoding(name, coding):
				named, accepted, refused = true, accepted || positive, refused || !positive
			}
		}
	}
	if named {
		return accepted && !refused
	}
	return star && !starRefused
}

// sameCoding reports whether name, in any case and with or without a historic prefix, is the given
// coding in normal form.
func sameCoding(name, coding string) bool {
	if len(name) == len(coding)+2 && (coding == "gzip" || coding == "compress") && (name[0]|0x20) == 'x' && name[1] == '-' {
		name = name[2:]
	}
	return strings.EqualFold(name, coding)
}

// acceptsWeight reads the weight among a member's parameters (RFC 9110 §12.4.2). A malformed weight
// is not positive, so it refuses the coding.
func acceptsWeight(params string) (positive, valid bool) {
	for params != "" {
		var param string
		param, params, _ = strings.Cut(params, ";")
		name, value, _ := strings.Cut(param, "=")
		if strings.EqualFold(trimOWS(name), "q") {
			return readWeight(trimOWS(value))
		}
	}
	return true, true
}

func readWeight(s string) (positive, valid bool) {
	if s == "" || s[0] != '0' && s[0] != '1' || len(s) > len("0.000") || len(s) > 1 && s[1] != '.' {
		return false, false
	}
	fraction := false
	for i := 2; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false, false
		}
		fraction = fraction || s[i] != '0'
	}
	if s[0] == '1' {
		return !fraction, !fraction // no weight is above 1
	}
	return fraction, true
}
