package edge

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CORSRules say which pages of other origins may read the responses of a route, in the words of the
// Fetch standard's CORS protocol (https://fetch.spec.whatwg.org/#http-cors-protocol).
type CORSRules struct {
	// Origins are "*", exact origins, or patterns with *. in front of the host. "*" stands alone.
	Origins     []string
	Methods     []string
	Headers     []string
	Expose      []string
	Credentials bool // never with "*"
	MaxAge      time.Duration
}

// CORS is a compiled set of CORSRules. It is immutable. A nil CORS leaves responses as they are.
//
// It is not a middleware such as github.com/rs/cors, which writes to a http.ResponseWriter: a
// connection answers hits without one, and both must send the same bytes. So the decision is a
// value, a [CORSGrant], that both can write.
type CORS struct {
	any      bool // each origin gets the same fields
	exact    map[string]bool
	patterns []originPattern
	methods  map[string]bool
	headers  map[string]bool // in lower case

	credentials bool
	// These are the values of fields; nil: the field is not sent.
	expose, allowMethods, allowHeaders, maxAge []string
	// before and after are the field lines around the value of Access-Control-Allow-Origin.
	before, after string
}

// originPattern allows each name below a host. An origin that it allows is the prefix, one or more
// labels, and the suffix.
type originPattern struct{ prefix, suffix string }

// The fields of the CORS protocol.
const (
	fieldPrefix      = "Access-Control-" // of all of them but Origin
	fieldAllowOrigin = fieldPrefix + "Allow-Origin"
	fieldCredentials = fieldPrefix + "Allow-Credentials"
	fieldExpose      = fieldPrefix + "Expose-Headers"
	fieldAskMethod   = fieldPrefix + "Request-Method"
	fieldAskHeaders  = fieldPrefix + "Request-Headers"
)

// CompileCORS returns the compiled rules. The configuration has checked them.
func CompileCORS(r CORSRules) *CORS {
	c := &CORS{exact: make(map[string]bool), methods: make(map[string]bool), headers: make(map[string]bool), credentials: r.Credentials}
	for _, origin := range r.Origins {
		prefix, suffix, wild := strings.Cut(origin, "*")
		switch {
		case origin == "*":
			c.any = true
		case wild:
			c.patterns = append(c.patterns, originPattern{prefix, suffix})
		default:
			c.exact[origin] = true
		}
	}
	for _, method := range r.Methods {
		c.methods[method] = true
	}
	for _, name := range r.Headers {
		c.headers[strings.ToLower(name)] = true
	}
	c.expose, c.allowMethods, c.allowHeaders = listValue(r.Expose), listValue(r.Methods), listValue(r.Headers)
	if r.MaxAge > 0 {
		c.maxAge = []string{strconv.FormatInt(int64(r.MaxAge/time.Second), 10)}
	}
	c.before, c.after = fieldAllowOrigin+": ", "\r\n"
	if c.credentials {
		c.before = fieldCredentials + ": true\r\n" + c.before
	}
	if c.expose != nil {
		c.after += fieldExpose + ": " + c.expose[0] + "\r\n"
	}
	return c
}

func listValue(names []string) []string {
	if len(names) == 0 {
		return nil
	}
	return []string{strings.Join(names, ", ")}
}

// allows reports whether pages of an origin may read responses. origin is the value of an Origin
// field, so it may be any text.
func (c *CORS) allows(origin string) bool {
	if c.any || c.exact[origin] {
		return true
	}
	for i := range c.patterns {
		if c.patterns[i].allows(origin) {
			return true
		}
	}
	return false
}

// maxHostName is the greatest length of a host name (RFC 1035 §2.3.4).
const maxHostName = 253

func (p *originPattern) allows(origin string) bool {
	rest, ok := strings.CutPrefix(origin, p.prefix)
	if !ok || len(rest) > maxHostName+len(":65535") {
		return false
	}
	labels, ok := strings.CutSuffix(rest, p.suffix)
	return ok && areLabels(labels)
}

// areLabels reports whether s is one or more labels of a host name, as browsers write them: in
// lower case.
func areLabels(s string) bool {
	last := byte('.')
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '.' && last == '.':
			return false
		case 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.':
			last = c
		default:
			return false
		}
	}
	return last != '.'
}

// CORSGrant says which fields of the CORS protocol a response to one request has. The zero value
// leaves the response as it is.
type CORSGrant struct {
	rules *CORS
	value string // of Access-Control-Allow-Origin; "": the field is not sent
}

// Grant returns the fields of the responses to a request with these fields. The value of
// Access-Control-Allow-Origin is "*" or the request's own Origin, and so may be a view of the
// connection's buffer.
func (c *CORS) Grant(request Fields) CORSGrant {
	if c == nil {
		return CORSGrant{}
	}
	if c.any {
		return CORSGrant{c, "*"} // also without Origin: a cache may send this response to other origins
	}
	if origin, lines := request.Line("Origin"); lines == 1 && c.allows(origin) {
		return CORSGrant{c, origin}
	}
	return CORSGrant{c, ""}
}

// AppendLines appends the field lines to dst. The stored response has no such lines itself: with
// rules for the route they are removed before it is stored.
func (g *CORSGrant) AppendLines(dst []byte) []byte {
	if g.value == "" {
		return dst
	}
	dst = append(dst, g.rules.before...)
	dst = append(dst, g.value...)
	return append(dst, g.rules.after...)
}

// AppendVary appends the line of Vary that the response needs in addition to its own lines. own is
// true if [VariesOnOrigin] holds for one of these.
func (g *CORSGrant) AppendVary(dst []byte, own bool) []byte {
	if g.rules == nil || g.rules.any || own {
		return dst
	}
	return append(dst, "Vary: Origin\r\n"...)
}

// set is AppendLines and AppendVary for the header of a response.
func (g *CORSGrant) set(h http.Header) {
	RemoveCORSFields(h)
	if g.value != "" {
		h[fieldAllowOrigin] = []string{g.value}
		if g.rules.credentials {
			h[fieldCredentials] = []string{"true"}
		}
		if g.rules.expose != nil {
			h[fieldExpose] = g.rules.expose
		}
	}
	if !g.rules.any && !slices.ContainsFunc(h["Vary"], VariesOnOrigin) {
		h["Vary"] = append(slices.Clip(h["Vary"]), "Origin")
	}
}

// RemoveCORSFields removes the fields by which an origin server takes part in the CORS protocol.
func RemoveCORSFields(h http.Header) {
	for name := range h {
		if isCORSField(name) {
			delete(h, name)
		}
	}
}

func isCORSField(name string) bool { return strings.HasPrefix(name, fieldPrefix) }

// BeforeCORSFields reports whether a field, with a name in canonical form, is in front of those of
// the CORS protocol in alphabetical order.
func BeforeCORSFields(name string) bool { return name < fieldPrefix }

// VariesOnOrigin reports whether a line of Vary lists Origin, or everything.
func VariesOnOrigin(line string) bool {
	for name := range strings.SplitSeq(line, ",") {
		if name = strings.TrimSpace(name); name == "*" || strings.EqualFold(name, "Origin") {
			return true
		}
	}
	return false
}

// lines returns the field lines that the grant sets, for operators.
func (g *CORSGrant) lines() []string {
	text := g.AppendVary(g.AppendLines(nil), false)
	return strings.Split(strings.TrimSuffix(string(text), "\r\n"), "\r\n")
}
