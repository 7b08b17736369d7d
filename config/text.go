package config

import (
	"net"
	"net/netip"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/idna"
)

// textKinds are the kinds of text that a column's `as` names. Each reads a value into its canonical form.
var textKinds = map[string]*scalar{
	"name":           text("a name", `^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`, readName),
	"address":        text("host:port", ``, readAddress),
	"admin_address":  text("host:port or unix:/path", ``, readAdminAddress),
	"token":          text("a token", `^[!-~]*$`, readToken),
	"file":           text("a file's name", `.`, readFileName),
	"host":           text("a host name", ``, readHost),
	"pattern":        text("a path pattern", `^/`, readPattern),
	"method":         text("a method", "^[!#$%&'*+.^_`|~0-9A-Z-]+$", readMethod),
	"prefix":         text("a path prefix", `^($|/)`, readPathPrefix),
	"template":       text("a path", `^($|/)`, readTemplate),
	"part":           text("a name", `^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$`, readPart),
	"part_path":      text("a path", `^/`, readPartPath),
	"json_path":      text("a path into JSON", ``, readJSONPath),
	"serve":          text("a path", `^($|/)`, readServe),
	"cache_control":  text("a Cache-Control value", `.`, readCacheControl),
	"extension":      text("an extension", `^[a-z0-9_+-]+$`, readExtension),
	"media_range":    text("a media type", `^[^/]+/[^/]+$`, readMediaRange),
	"field":          text("a field name", fieldPattern, readField),
	"editable_field": text("a field name", fieldPattern, readEditableField),
	"field_value":    text("a field value", ``, readFieldValue),
	"cookie":         text("a cookie's name", fieldPattern, readCookie),
	"glob":           text("a name or a pattern", `.`, readGlob),
	"query_param":    text("a parameter's name", `.`, readQueryParam),
	"tag":            text("a tag", `^[!-+--~]+$`, readTag),
	"write_target":   text("a path or tag:NAME", `^(/|tag:)`, readWriteTarget),
	"redis_url":      text("a Redis URL", `^rediss?(\+(sentinel|cluster))?://`, readRedisURL),
	"otlp_endpoint":  text("a collector's URL", `^($|(https?|grpcs?)://)`, readOTLPEndpoint),
	"content_type":   text("a media type", ``, readContentType),
	"currency":       text("a currency", `^[A-Z]{3}$`, readCurrency),
	"state_file":     text("a file's name", ``, readStateFile),
	"webhook":        text("the URL of a webhook", `^($|[Hh][Tt][Tt][Pp][Ss]?://)`, readWebhook),
}

// readTag keeps tags to one word of a tag field.
func readTag(s string) (string, *problem) {
	if s == "" || len(s) > 256 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == ',' }) {
		return "", not("up to 256 visible ASCII characters without commas")
	}
	return s, nil
}

// readWriteTarget takes a path with an optional query, or a tag.
func readWriteTarget(s string) (string, *problem) {
	if tag, ok := strings.CutPrefix(s, "tag:"); ok {
		_, p := readTag(tag)
		return s, p
	}
	if !strings.HasPrefix(s, "/") || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '#' }) {
		return "", not("such as /api/users/{id} or tag:user:{id}")
	}
	return s, nil
}

var redisSchemes = []string{"redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"}

// readRedisURL looks at the scheme and that a host is named; the rest is Redis' client's to judge. It never quotes the URL, which may hold a password.
func readRedisURL(s string) (string, *problem) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || !slices.Contains(redisSchemes, scheme) || rest == "" || rest[0] == '/' {
		return "", problemf("not a Redis URL").or("redis://127.0.0.1:6379/0, rediss://, redis+sentinel://h1:26379,h2:26379/name, or redis+cluster://h1:6379,h2:6379")
	}
	return s, nil
}

// readOTLPEndpoint wants scheme and host; what else OTLP needs is in its environment variables.
func readOTLPEndpoint(s string) (string, *problem) {
	if s == "" {
		return "", nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || !slices.Contains([]string{"http", "https", "grpc", "grpcs"}, u.Scheme) {
		return "", not("http://127.0.0.1:4318, or grpc://127.0.0.1:4317 for gRPC; https:// and grpcs:// over TLS")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.HasPrefix(u.Scheme, "grpc") && strings.Trim(u.Path, "/") != "" {
		return "", problemf("a collector's URL has neither user, query nor fragment, and for gRPC no path").or("credentials go into OTEL_EXPORTER_OTLP_HEADERS")
	}
	return s, nil
}

const fieldPattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"

// text makes a kind of text. The pattern is for the schema and may be wider than what is read.
func text(name, pattern string, read func(string) (string, *problem)) *scalar {
	schema := map[string]any{"type": []string{"string", "number", "boolean"}}
	if pattern != "" {
		schema = map[string]any{"type": "string", "pattern": pattern}
	}
	return &scalar{
		name: name,
		read: func(n *node) (any, *problem) {
			s, p := read(n.text)
			if p != nil && p.message == "" {
				p.message = n.quoted() + " is not " + name
			}
			return s, p
		},
		print:  func(v any) string { return v.(string) },
		schema: schema,
		quoted: true,
	}
}

// not is the problem of a value that is not what its kind's name says; text fills in the message.
func not(hint string) *problem { return &problem{hint: hint, repeats: true} }

var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// readName keeps names fit for labels, logs and cache keys.
func readName(s string) (string, *problem) {
	if !namePattern.MatchString(s) {
		return "", not("letters, digits, `.`, `_` and `-`, at most 64")
	}
	return s, nil
}

func readAddress(s string) (string, *problem) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", not("such as 127.0.0.1:8080, or :8080 for all interfaces")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", not("its port is a number up to 65535; 0 lets the system choose")
	}
	if host != "" {
		if p := checkHost(host); p != nil {
			return "", p
		}
	}
	return s, nil
}

// unixPrefix marks the address of a unix socket.
const unixPrefix = "unix:"

func readAdminAddress(s string) (string, *problem) {
	path, ok := strings.CutPrefix(s, unixPrefix)
	switch {
	case !ok:
		return readAddress(s)
	case !strings.HasPrefix(path, "/") || strings.ContainsRune(path, 0):
		return "", not("unix:/path, from the root")
	}
	return s, nil
}

// readToken keeps to what fits into an Authorization field. The value is a secret and is never quoted.
func readToken(s string) (string, *problem) {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return "", problemf("the token has a character that can't be sent").or("visible ASCII without spaces")
		}
	}
	return s, nil
}

func readFileName(s string) (string, *problem) {
	if s == "" || strings.ContainsRune(s, 0) {
		return "", not("")
	}
	return s, nil
}

// readHost reads a host pattern into lower case.
func readHost(s string) (string, *problem) {
	if s == "" {
		return "", nil
	}
	rest := strings.TrimPrefix(s, "*.")
	switch {
	case strings.Contains(rest, "*"):
		return "", not("* stands only in front, as in *.example.com")
	case rest != s && net.ParseIP(rest) != nil:
		return "", not("an address has no names below it")
	}
	if p := checkHost(strings.TrimSuffix(strings.TrimPrefix(rest, "["), "]")); p != nil {
		return "", p
	}
	return strings.ToLower(s), nil
}

var hostPattern = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*$`)

// checkHost refuses what is neither an address nor a name that can be in DNS.
func checkHost(s string) *problem {
	if _, err := netip.ParseAddr(s); err == nil {
		return nil
	}
	p := problemf("%q is not a host name", clip(s))
	switch {
	case len(s) <= 253 && hostPattern.MatchString(s):
		return nil
	case strings.Contains(s, "/"):
		return p.or("the name alone, without scheme and path")
	case strings.Contains(s, ":"):
		return p.or("without a port")
	case strings.HasSuffix(s, "."):
		return p.or("without a dot at the end")
	}
	if ascii, err := idna.Lookup.ToASCII(s); err == nil && ascii != s && !strings.ContainsAny(s, " /") {
		return p.or("write %s", clip(ascii))
	}
	return p.or("such as api.example.com")
}

// isToken reports whether s is a token (RFC 9110 section 5.6.2).
func isToken(s string) bool { return httpguts.ValidHeaderFieldName(s) }

// canonicalField writes a field name as net/http does.
func canonicalField(s string) string { return textproto.CanonicalMIMEHeaderKey(s) }

func readMethod(s string) (string, *problem) {
	upper := strings.ToUpper(s)
	switch {
	case !isToken(s):
		return "", not("")
	case upper == "CONNECT" || upper == "TRACE":
		return "", problemf("%s is never forwarded", upper).or("leave it out")
	case upper != s:
		return "", not("").or("write %s", clip(upper))
	}
	return s, nil
}

func readField(s string) (string, *problem) {
	if !isToken(s) {
		return "", not("letters, digits and -")
	}
	return canonicalField(s), nil
}

// connectionFields are about one connection and are the gateway's own business (RFC 9110 section 7.6.1), as is the length of a body.
var connectionFields = []string{
	"Connection", "Content-Length", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// readEditableField reads the name of a field that may be set, added or removed.
func readEditableField(s string) (string, *problem) {
	name, p := readField(s)
	switch {
	case p != nil:
		return "", p
	case name == "Host":
		return "", problemf("Host is not changed here").or("the upstream's preserve_host decides what is sent")
	case slices.Contains(connectionFields, name):
		return "", problemf("%s belongs to the connection and is the gateway's own", name).or("leave it out")
	}
	return name, nil
}

func readFieldValue(s string) (string, *problem) {
	if !httpguts.ValidHeaderFieldValue(s) {
		return "", problemf("a field value holds no line breaks and control characters")
	}
	return strings.Trim(s, " \t"), nil
}

func readCookie(s string) (string, *problem) {
	if !isToken(s) {
		return "", not("")
	}
	return s, nil
}

func readGlob(s string) (string, *problem) {
	if s == "" {
		return "", not("such as utm_*; * alone is every name")
	}
	return s, nil
}

var extensionPattern = regexp.MustCompile(`^[a-z0-9_+-]+$`)

func readExtension(s string) (string, *problem) {
	if extensionPattern.MatchString(s) {
		return s, nil
	}
	if tidy := strings.ToLower(strings.TrimLeft(s, "*.")); extensionPattern.MatchString(tidy) {
		return "", not("").or("write %s", clip(tidy))
	}
	return "", not("such as css")
}

// readMediaRange reads type/subtype, type/* and type/*+suffix.
func readMediaRange(s string) (string, *problem) {
	kind, sub, ok := strings.Cut(s, "/")
	switch {
	case !ok || !isToken(kind) || kind == "*" || !isToken(sub) || strings.Contains(kind, "*"),
		strings.Contains(sub, "*") && sub != "*" && !strings.HasPrefix(sub, "*+"),
		strings.Count(sub, "*") > 1:
		return "", not("such as text/css, text/* or application/*+json")
	}
	return strings.ToLower(s), nil
}

func readContentType(s string) (string, *problem) {
	if s == "" {
		return "", nil
	}
	media, _, _ := strings.Cut(s, ";")
	kind, sub, ok := strings.Cut(strings.TrimRight(media, " \t"), "/")
	if !ok || !isToken(kind) || !isToken(sub) || !httpguts.ValidHeaderFieldValue(s) {
		return "", not("such as application/json")
	}
	return s, nil
}
