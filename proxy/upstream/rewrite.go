package upstream

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Rewrite changes the path of a request before it is sent. The zero value changes nothing. It works
// on canonical escaped paths and is pure.
type Rewrite struct {
	strip string
	add   string
	parts []part // of the template; nil: there is no template
}

// part is a piece of a template: fixed text, or the name of a route parameter ("*" for the match of
// the route's wildcard).
type part struct {
	text  string
	param string
}

// ErrEscape says that a route parameter would have made the path lead elsewhere than the template
// says.
var ErrEscape = errors.New("rewrite: a value in the path would leave its place in the template")

// CompileRewrite makes a Rewrite. strip is a prefix of whole segments to remove, and add a prefix
// to put in front. template, which excludes both, is the whole new path, with {*} for the match of
// the route's wildcard and {name} for a route parameter. params are the names that the route has.
func CompileRewrite(strip, add, template string, params []string) (*Rewrite, error) {
	if template == "" {
		rw := &Rewrite{strip: strings.TrimRight(strip, "/"), add: strings.TrimRight(add, "/")}
		return rw, errors.Join(checkFixed("strip_prefix", rw.strip), checkFixed("add_prefix", rw.add))
	}
	if strip != "" || add != "" {
		return nil, errors.New("rewrite: path stands alone, without strip_prefix and add_prefix")
	}
	if !strings.HasPrefix(template, "/") {
		return nil, fmt.Errorf("rewrite: path %q does not begin with /", template)
	}
	parts, err := parseTemplate(template, params)
	if err != nil {
		return nil, err
	}
	return &Rewrite{parts: parts}, nil
}

// checkFixed makes sure that configured text is a path that means itself.
func checkFixed(key, s string) error {
	if s == "" {
		return nil
	}
	if s[0] != '/' || strings.Contains(s, "//") || hasDots(s) || escapeInto(s, true) != s {
		return fmt.Errorf("rewrite: %s %q is not an escaped absolute path without empty or dot segments", key, s)
	}
	return nil
}

func parseTemplate(template string, params []string) ([]part, error) {
	var parts []part
	for rest := template; rest != ""; {
		text, after, found := strings.Cut(rest, "{")
		if escapeInto(text, true) != text {
			return nil, fmt.Errorf("rewrite: path %q has characters that need escaping", template)
		}
		if text != "" {
			parts = append(parts, part{text: text})
		}
		if !found {
			break
		}
		name, tail, closed := strings.Cut(after, "}")
		if !closed || name == "" {
			return nil, fmt.Errorf("rewrite: path %q has a { without its }", template)
		}
		if !slices.Contains(params, name) {
			return nil, fmt.Errorf("rewrite: the route has no parameter {%s}; it has %s", name, strings.Join(params, ", "))
		}
		parts = append(parts, part{param: name})
		rest = tail
	}
	return parts, nil
}

// Apply returns the new path for a canonical escaped path. param returns the value of a route
// parameter, in escaped form, "*" for the wildcard's. A strip prefix that the path does not have is
// left alone.
func (rw *Rewrite) Apply(path string, param func(name string) string) (string, error) {
	out := rw.add + stripPrefix(path, rw.strip)
	if rw.parts != nil {
		out = rw.expand(param)
	}
	if !strings.HasPrefix(out, "/") {
		out = "/" + out
	}
	if hasDots(out) {
		return "", ErrEscape
	}
	return out, nil
}

// stripPrefix removes prefix if it ends at the end of a segment: /apis is not below /api.
func stripPrefix(path, prefix string) string {
	rest, ok := strings.CutPrefix(path, prefix)
	if !ok || rest != "" && rest[0] != '/' {
		return path
	}
	if rest == "" {
		return "/"
	}
	return rest
}

func (rw *Rewrite) expand(param func(name string) string) string {
	var b strings.Builder
	for _, p := range rw.parts {
		switch p.param {
		case "":
			b.WriteString(p.text)
		case "*":
			b.WriteString(escapeInto(param("*"), true))
		default:
			b.WriteString(escapeInto(param(p.param), false))
		}
	}
	return b.String()
}

// escapeInto makes s safe to stand in a path. It escapes characters that RFC 3986 §3.3 does not
// allow in a segment, and keeps escapes.
func escapeInto(s string, slashes bool) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if segmentByte(c) || c == '/' && slashes || c == '%' && isEscape(s[i:]) {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}

// segmentByte is pchar without pct-encoded.
func segmentByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~!$&'()*+,;=:@", c) >= 0
}

func isEscape(s string) bool {
	return len(s) >= 3 && isHex(s[1]) && isHex(s[2])
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// hasDots reports whether a segment of path is a dot segment, in any spelling, also behind an
// escaped slash or before a path parameter.
func hasDots(path string) bool {
	if !strings.Contains(path, ".") && !strings.Contains(path, "%2") {
		return false
	}
	plain := strings.NewReplacer("%2e", ".", "%2E", ".", "%2f", "/", "%2F", "/", "%5c", "/", "%5C", "/").Replace(path)
	for segment := range strings.SplitSeq(plain, "/") {
		name, _, _ := strings.Cut(segment, ";")
		if name == "." || name == ".." {
			return true
		}
	}
	return false
}
