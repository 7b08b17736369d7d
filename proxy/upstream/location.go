package upstream

import (
	"cmp"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/penstock/penstock/proxy/upstream/hop"
)

// Outside maps the references by which an origin names its own resources (Location,
// Content-Location, Refresh, Link) to the client's names for them. It undoes the changes to a
// request on its way up: the target's authority and base path, and the route's rewrite. It is
// immutable and pure.
type Outside struct {
	targets  []authority
	bases    []string // of the targets, the longest first
	host     bool     // the origin is told the client's host, and so builds its references from that
	strip    string
	add      string
	template *template // nil: the rewrite is not by a template that can be undone
	fixed    bool      // the rewrite is by a template that can't be undone: paths stay as they are
	kept     bool      // only references that would mislead the client are changed
}

// authority is a target as references name it.
type authority struct{ scheme, host string }

// View is how a client sees the gateway.
type View struct {
	Scheme string
	Host   string // canonical; "": the client named no host
	// Doubled is true if the path that the target was asked for begins with //, also when it is
	// decoded. An origin that repeats such a path as a reference names a path, which the client
	// would take for another host.
	Doubled bool
}

// template is the inverse of a template rewrite.
type template struct {
	inside *regexp.Regexp
	names  []string // of inside's groups
	parts  []part   // of the client's path
}

// CompileOutside returns the inverse of a route's way to its targets. preserveHost says that the
// targets get the client's host. pattern is the path pattern of the route; strip, add and path are
// its rewrite, as CompileRewrite takes them.
func CompileOutside(targets []string, preserveHost bool, pattern, strip, add, path string) (*Outside, error) {
	o := &Outside{host: preserveHost, strip: strings.TrimRight(strip, "/"), add: strings.TrimRight(add, "/")}
	for _, t := range targets {
		u, err := url.Parse(t)
		if err != nil {
			return nil, err
		}
		o.targets = append(o.targets, authority{u.Scheme, canonicalAuthority(u.Scheme, hop.HostField(u))})
		o.bases = append(o.bases, strings.TrimRight(u.EscapedPath(), "/"))
	}
	slices.SortFunc(o.bases, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	if path == "" {
		return o, nil
	}
	o.template = invert(pattern, path)
	o.fixed = o.template == nil
	return o, nil
}

// KeepOutside returns an Outside that changes only references whose path a client would read as a
// host. It leaves all other references as they are.
func KeepOutside() *Outside { return &Outside{fixed: true, kept: true} }

// Apply maps the references in a response's header section. Values are replaced, never written to.
func (o *Outside) Apply(h http.Header, v View) {
	for _, name := range [...]string{"Location", "Content-Location"} {
		o.each(h, name, func(value string) string { return o.Map(value, v) })
	}
	o.each(h, "Refresh", func(value string) string { return o.mapRefresh(value, v) })
	o.each(h, "Link", func(value string) string { return o.mapLink(value, v) })
}

func (o *Outside) each(h http.Header, name string, change func(string) string) {
	lines := h[name]
	for i, old := range lines {
		if changed := change(old); changed != old {
			lines = slices.Clone(lines)
			lines[i] = changed
			h[name] = lines
		}
	}
}

// Map maps one reference. One that is relative to the request's path, on another authority, or no
// http URL is returned as it is.
func (o *Outside) Map(ref string, v View) string {
	trimmed := strings.Trim(ref, " \t")
	scheme, host, path, rest := splitReference(trimmed)
	doubled := v.Doubled && strings.HasPrefix(trimmed, "//") && !o.knows(host, v)
	if doubled {
		host, path = "", trimmed[:len(trimmed)-len(rest)]
	}
	switch {
	case o.kept && !doubled, host == "" && (scheme != "" || !strings.HasPrefix(path, "/")):
		return ref
	case host == "":
		return o.mapPath(ref, path, rest, v)
	}
	spoken := cmp.Or(scheme, v.Scheme)
	named := canonicalAuthority(spoken, host)
	for _, t := range o.targets {
		if named == t.host || canonicalAuthority(t.scheme, host) == t.host {
			if spoken == t.scheme || scheme == "" {
				spoken = v.Scheme // the origin does not know how its client came
			}
			return v.origin(spoken) + o.path(path) + rest
		}
	}
	if o.host && v.Host != "" && named == v.Host {
		return ref[:strings.Index(ref, host)+len(host)] + o.path(path) + rest
	}
	return ref
}

// knows reports whether an authority is a target's or the client's view of the gateway.
func (o *Outside) knows(host string, v View) bool {
	for _, t := range o.targets {
		if canonicalAuthority(t.scheme, host) == t.host {
			return true
		}
	}
	return host != "" && canonicalAuthority(v.Scheme, host) == v.Host
}

// mapPath maps a reference that is a path. One that would then read as an authority is made
// absolute.
func (o *Outside) mapPath(ref, path, rest string, v View) string {
	mapped := o.path(path)
	switch {
	case strings.HasPrefix(mapped, `/\`):
		return ref
	case !strings.HasPrefix(mapped, "//"):
		return mapped + rest
	case v.Host == "":
		return "/." + mapped + rest // the same path (RFC 3986 §5.2.4)
	}
	return v.origin(v.Scheme) + mapped + rest
}

// origin is the beginning of a URL of the gateway with the given scheme; "" if the client named no
// host. The port is that of the client's scheme.
func (v View) origin(scheme string) string {
	host := v.Host
	if scheme != v.Scheme {
		host = withoutPort(host)
	}
	if host == "" {
		return ""
	}
	return scheme + "://" + host
}

func withoutPort(host string) string {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		return host[:i]
	}
	return host
}

// path is the client's name for a path of the target. If no request of the route leads to a path,
// it stays as it is. So does a path that is a client's path already: an origin may know its prefix,
// for X-Forwarded-Prefix tells it.
func (o *Outside) path(p string) string {
	inner, ok := o.withoutBase(p)
	switch {
	case !ok || o.fixed:
		return p
	case o.template != nil:
		return cmp.Or(o.template.undo(inner), p)
	case o.add != "":
		return o.withoutAdded(inner, p)
	case o.strip == "" || below(inner, o.strip):
		return inner
	}
	return o.strip + inner
}

func (o *Outside) withoutBase(p string) (string, bool) {
	for _, base := range o.bases {
		if base == "" {
			return p, true
		}
		if below(p, base) {
			return p[len(base):], true
		}
	}
	return p, false
}

// withoutAdded undoes add_prefix, and puts the stripped prefix back.
func (o *Outside) withoutAdded(inner, p string) string {
	if o.strip != "" && below(inner, o.strip) && below(inner[len(o.strip):], o.add) {
		inner = inner[len(o.strip):] // the origin has put the prefix that it was told in front of its own path
	}
	if !below(inner, o.add) {
		return p
	}
	if inner = o.strip + inner[len(o.add):]; inner == "" {
		return "/"
	}
	return inner
}

// below reports whether path is prefix or begins with it and a slash.
func below(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/')
}

// splitReference cuts a reference into scheme (lower case), authority, path, and the rest. If the
// scheme is neither http nor https, the result has a scheme and no authority.
func splitReference(ref string) (scheme, host, path, rest string) {
	rest = ref
	if i := strings.IndexAny(ref, ":/?#"); i >= 0 && ref[i] == ':' {
		scheme, rest = strings.ToLower(ref[:i]), ref[i+1:]
		if scheme != "http" && scheme != "https" {
			return scheme, "", rest, ""
		}
	}
	after, ok := strings.CutPrefix(rest, "//")
	if ok {
		end := strings.IndexAny(after, "/?#")
		if end < 0 {
			end = len(after)
		}
		host, rest = after[:end], after[end:]
	}
	if end := strings.IndexAny(rest, "?#"); end >= 0 {
		return scheme, host, rest[:end], rest[end:]
	}
	return scheme, host, rest, ""
}

// canonicalAuthority is host in lower case, without the scheme's default port and a trailing dot.
func canonicalAuthority(scheme, host string) string {
	host = strings.ToLower(host)
	name := withoutPort(host)
	port := host[len(name):]
	name = strings.TrimSuffix(name, ".")
	if port == ":" || scheme == "http" && port == ":80" || scheme == "https" && port == ":443" {
		return name
	}
	return name + port
}

// mapRefresh maps the URL in a Refresh field: 5; url=/next.
func (o *Outside) mapRefresh(value string, v View) string {
	at := strings.Index(strings.ToLower(value), "url=")
	if at < 0 || !strings.ContainsAny(value[:at], ";,") {
		return value
	}
	ref, quote := value[at+len("url="):], ""
	if len(ref) > 1 && (ref[0] == '"' || ref[0] == '\'') && ref[len(ref)-1] == ref[0] {
		quote, ref = ref[:1], ref[1:len(ref)-1]
	}
	return value[:at+len("url=")] + quote + o.Map(ref, v) + quote
}

// mapLink maps the targets of a Link field (RFC 8288): <reference>; parameters, …
func (o *Outside) mapLink(value string, v View) string {
	var b strings.Builder
	quoted := false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case quoted && c == '\\' && i+1 < len(value):
			b.WriteByte(c)
			i++
		case c == '"':
			quoted = !quoted
		case c == '<' && !quoted:
			if end := strings.IndexByte(value[i:], '>'); end > 0 {
				b.WriteString("<" + o.Map(value[i+1:i+end], v))
				i += end
			}
		}
		b.WriteByte(value[i])
	}
	return b.String()
}

// invert gives the inverse of a template rewrite, nil if the client's path does not follow from
// that of the target.
func invert(pattern, path string) *template {
	t := &template{parts: patternParts(pattern)}
	inside, err := parseTemplate(path, paramsOf(t.parts))
	if err != nil {
		return nil
	}
	expression := "^"
	for _, p := range inside {
		switch p.param {
		case "":
			expression += regexp.QuoteMeta(p.text)
			continue
		case "*":
			expression += "(.*)"
		default:
			expression += "([^/]+)"
		}
		t.names = append(t.names, p.param)
	}
	for _, name := range paramsOf(t.parts) {
		if !slices.Contains(t.names, name) {
			return nil
		}
	}
	t.inside = regexp.MustCompile(expression + "$") // of quoted text and groups
	return t
}

// undo is the client's path for a path of the target, "" if no request leads to it.
func (t *template) undo(path string) string {
	found := t.inside.FindStringSubmatch(path)
	if found == nil {
		return ""
	}
	var b strings.Builder
	for _, p := range t.parts {
		if p.param == "" {
			b.WriteString(p.text)
			continue
		}
		b.WriteString(found[1+slices.Index(t.names, p.param)])
	}
	return b.String()
}

// patternParts cuts a route's path pattern into its text and its parameters.
func patternParts(pattern string) (parts []part) {
	for rest := pattern; rest != ""; {
		text, after, found := strings.Cut(rest, "{")
		if wild, ok := strings.CutSuffix(text, "*"); ok && !found {
			return append(parts, part{text: wild}, part{param: "*"})
		}
		if text != "" {
			parts = append(parts, part{text: text})
		}
		if !found {
			break
		}
		end := closingBrace(after)
		name, _, _ := strings.Cut(after[:end], ":")
		parts, rest = append(parts, part{param: name}), after[min(end+1, len(after)):]
	}
	return parts
}

// closingBrace is the index at which the brace is closed that was open before s. A parameter's
// expression may hold braces.
func closingBrace(s string) int {
	depth := 1
	for i := range len(s) {
		switch s[i] {
		case '{':
			depth++
		case '}':
			depth--
		}
		if depth == 0 {
			return i
		}
	}
	return len(s)
}

func paramsOf(parts []part) (names []string) {
	for _, p := range parts {
		if p.param != "" {
			names = append(names, p.param)
		}
	}
	return names
}
