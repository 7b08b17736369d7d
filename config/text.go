package config

import (
	"encoding/hex"
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

// textKinds are the kinds of text that a column's `as` names. Each converts a value to its
// canonical form.
var textKinds = map[string]*scalar{
	"name":           text("a name", `^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`, readName),
	"address":        text("host:port", ``, readAddress),
	"admin_address":  text("host:port or unix:/path", ``, readAdminAddress),
	"token":          text("a token", `^[!-~]*$`, readToken),
	"file":           text("a file's name", `.`, readFileName),
	"host":           text("a host name", ``, readHost),
	"pattern":        text("a path pattern", `^/`, readPattern),
	"method":         text("a method", "^[!#$%&'*+.^_`|~0-9A-Z-]+$", readMethod),
	"cors_origin":    text("an origin", `^(\*|null|[a-z][a-z0-9+.-]*://[^/]+)$`, readOrigin),
	"cors_method":    text("a method", "^[!#$%&'*+.^_`|~0-9A-Z-]+$", readCORSMethod),
	"cors_header":    text("a field name", fieldPattern, readCORSHeader),
	"cors_expose":    text("a field name", fieldPattern, readCORSExposed),
	"key_field":      text("a field name", "^[!#$%&'*+.^_`|~0-9A-Za-z-]*$", readKeyField),
	"key_param":      text("a parameter's name", ``, readKeyParam),
	"api_key":        text("an API key", `^[!-~]{0,512}$`, readAPIKey),
	"jwks_url":       text("the URL of a JWKS", `^https?://`, readJWKSURL),
	"claim":          text("a claim's text", `.`, readClaim),
	"jwt_algorithm":  text("an algorithm", `^[A-Za-z0-9]+$`, readJWTAlgorithm),
	"sha256":         text("a SHA-256 digest", `^([0-9A-Fa-f]{64})?$`, readSHA256),
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
	"order_key":      text("a text with what the path captured, such as {id}", `.`, readOrderKey),
	"write_target":   text("a path or tag:NAME", `^(/|tag:)`, readWriteTarget),
	"redis_url":      text("a Redis URL", `^rediss?(\+(sentinel|cluster))?://`, readRedisURL),
	"otlp_endpoint":  text("a collector's URL", `^($|(https?|grpcs?)://)`, readOTLPEndpoint),
	"content_type":   text("a media type", ``, readContentType),
	"currency":       text("a currency", `^[A-Z]{3}$`, readCurrency),
	"state_file":     text("a file's name", ``, readStateFile),
	"webhook":        text("the URL of a webhook", `^($|[Hh][Tt][Tt][Pp][Ss]?://)`, readWebhook),
}

// readTag accepts one word of a tag field.
func readTag(s string) (string, *problem) {
	if s == "" || len(s) > 256 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == ',' }) {
		return "", not("up to 256 visible ASCII characters without commas")
	}
	return s, nil
}

// readWriteTarget accepts a path with an optional query, or a tag.
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

// readRedisURL checks that the URL has a known scheme and a host. The Redis client checks the rest.
// Messages never quote the URL, because it may hold a password.
func readRedisURL(s string) (string, *problem) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || !slices.Contains(redisSchemes, scheme) || rest == "" || rest[0] == '/' {
		return "", problemf("not a Redis URL").or("redis://127.0.0.1:6379/0, rediss://, redis+sentinel://h1:26379,h2:26379/name, or redis+cluster://h1:6379,h2:6379")
	}
	return s, nil
}

// readOTLPEndpoint requires scheme and host. OTLP reads the other settings from its environment
// variables.
func readOTLPEndpoint(s string) (string, *problem) {
	if s == "" {
		return "", nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || !slices.Contains([]string{"http", "https", "grpc", "grpcs"}, u.Scheme) {
		return "", not("http://127.0.0.1:4318, or grpc://127.0.0.1:4317 for gRPC; https:// and grpcs:// over TLS")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.HasPrefix(u.Scheme, "grpc") && strings.Trim(u.Path, "/") != "" {
		return "", problemf("a collector's URL must not have a user, a query or a fragment, and with gRPC no path").or("put credentials into OTEL_EXPORTER_OTLP_HEADERS")
	}
	return s, nil
}

const fieldPattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"

// text returns a kind of text. The pattern is for the schema and may accept more than read does.
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

// not returns a problem for which text writes the message: the value is not of its kind.
func not(hint string) *problem { return &problem{hint: hint, repeats: true} }

var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// readName restricts names to characters that fit into labels, logs and cache keys.
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
		return "", not("the port must be a number up to 65535; 0 lets the system choose")
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

// readToken accepts characters that fit into an Authorization field. Messages never quote the
// token, because it is a secret.
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

// readHost reads a host pattern and converts it to lower case.
func readHost(s string) (string, *problem) {
	if s == "" {
		return "", nil
	}
	rest := strings.TrimPrefix(s, "*.")
	switch {
	case s == "*":
		return "", not("leave the host out to match every host")
	case strings.Contains(rest, "*"):
		return "", not("* is allowed only at the beginning, as in *.example.com")
	case rest != s && net.ParseIP(rest) != nil:
		return "", not("an IP address has no names below it")
	}
	if p := checkHost(strings.TrimSuffix(strings.TrimPrefix(rest, "["), "]")); p != nil {
		return "", p
	}
	return strings.ToLower(s), nil
}

var hostPattern = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*$`)

// numericEnd matches a name whose last label is a number. The URL standard treats such a name as an
// IPv4 address or as invalid.
var numericEnd = regexp.MustCompile(`(^|\.)[0-9]+$`)

// checkHost refuses a text that is neither an IP address nor a valid DNS name.
func checkHost(s string) *problem {
	if _, err := netip.ParseAddr(s); err == nil {
		return nil
	}
	p := problemf("%q is not a host name", clip(s))
	switch {
	case numericEnd.MatchString(s):
		return p.or("an IPv4 address has four numbers up to 255, and a name can't end in a number")
	case len(s) <= 253 && hostPattern.MatchString(s):
		return nil
	case strings.Contains(s, "/"):
		return p.or("write only the name, without scheme and path")
	case strings.Contains(s, ":"):
		return p.or("write it without a port")
	case strings.HasSuffix(s, "."):
		return p.or("write it without the dot at the end")
	}
	if ascii, err := idna.Lookup.ToASCII(s); err == nil && ascii != s && !strings.ContainsAny(s, " /") {
		return p.or("write %s", clip(ascii))
	}
	return p.or("such as api.example.com")
}

// isToken reports whether s is a token (RFC 9110 section 5.6.2).
func isToken(s string) bool { return httpguts.ValidHeaderFieldName(s) }

// canonicalField returns a field name in the form of net/http.
func canonicalField(s string) string { return textproto.CanonicalMIMEHeaderKey(s) }

func readMethod(s string) (string, *problem) {
	upper := strings.ToUpper(s)
	switch {
	case !isToken(s):
		return "", not("")
	case s == "*" || upper == "ANY" || upper == "ALL":
		return "", problemf("%s is not a method", s).or("leave `methods` out to match all of them")
	case upper == "CONNECT" || upper == "TRACE":
		return "", problemf("%s is never forwarded", upper).or("leave it out")
	case upper != s:
		return "", not("").or("write %s", clip(upper))
	}
	return s, nil
}

func readField(s string) (string, *problem) {
	switch {
	case !isToken(s):
		return "", not("letters, digits and -")
	case strings.Contains(s, "*"):
		return "", problemf("* is not a wildcard in a field name").or("name each field")
	}
	return canonicalField(s), nil
}

// connectionFields lists the fields that concern one connection (RFC 9110 section 7.6.1) or the
// length of a body. Only the gateway may set them.
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
		return "", problemf("Host can't be changed here").or("use preserve_host of the upstream")
	case slices.Contains(connectionFields, name):
		return "", problemf("%s belongs to the connection, so only the gateway sets it", name).or("leave it out")
	}
	return name, nil
}

// readKeyField reads the name of the field of an API key. It refuses fields that end at the
// gateway, that the gateway writes anew, or that already have a meaning.
func readKeyField(s string) (string, *problem) {
	if s == "" {
		return "", nil
	}
	name, p := readField(s)
	switch {
	case p != nil:
		return "", p
	case slices.Contains(connectionFields, name) || strings.HasPrefix(name, "Proxy-") || name == "Host" || name == "Http2-Settings":
		return "", problemf("%s belongs to the connection, and can't carry a key", name).or("use a field of its own, such as X-API-Key")
	case strings.HasPrefix(name, "X-Forwarded") || name == "Forwarded" || name == "Via" || name == "X-Real-Ip":
		return "", problemf("the gateway writes %s anew", name).or("use a field of its own, such as X-API-Key")
	case slices.Contains(meaningfulFields, name) || strings.HasPrefix(name, "If-") || strings.HasPrefix(name, "Accept") || strings.HasPrefix(name, "Content-"):
		return "", problemf("%s has another meaning", name).or("use a field of its own, such as X-API-Key")
	}
	return name, nil
}

// meaningfulFields lists fields that have a meaning for caches, origins or the gateway itself.
var meaningfulFields = []string{
	"Age", "Authorization", "Cache-Control", "Cookie", "Date", "Expect", "Idempotency-Key", "Origin", "Pragma", "Prefer", "Range", "Referer", "Traceparent", "Tracestate", "User-Agent",
	"X-Request-Id",
}

func readKeyParam(s string) (string, *problem) {
	if s == "" {
		return "", nil
	}
	return readQueryParam(s)
}

// readAPIKey accepts characters that fit into a field. Messages never quote the key.
func readAPIKey(s string) (string, *problem) {
	if len(s) > 512 {
		return "", problemf("the key is too long").or("at most 512 characters")
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return "", problemf("the key has a character that can't be sent").or("visible ASCII without spaces")
		}
	}
	return s, nil
}

// readJWKSURL requires https: an attacker who can change the keys on their way can sign tokens. Plain
// http is allowed on loopback.
func readJWKSURL(s string) (string, *problem) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "" || u.Scheme != "http" && u.Scheme != "https" || checkHostPort(u) != nil:
		return "", problemf("the value is not the URL of a JWKS").or("such as https://idp.example.com/jwks.json")
	case u.User != nil || u.Fragment != "":
		return "", problemf("the URL of a JWKS must not have a user or a fragment").or("leave it out")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return "", problemf("keys that come over plain http can be changed on the way").or("write https://, or use a host on loopback")
	}
	return s, nil
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func readClaim(s string) (string, *problem) {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", problemf("the text of a claim is empty or has control characters")
	}
	return s, nil
}

// jwtAlgorithms are the asymmetric algorithms (RFC 7518 section 3.1, RFC 8037).
var jwtAlgorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

func readJWTAlgorithm(s string) (string, *problem) {
	switch {
	case strings.EqualFold(s, "none"):
		return "", problemf("with none everybody can write tokens").or("RS256, ES256 or EdDSA")
	case strings.HasPrefix(s, "HS"):
		return "", problemf("%s needs a shared secret, and a JWKS has public keys", clip(s)).or("RS256, ES256 or EdDSA")
	case !slices.Contains(jwtAlgorithms, s):
		return "", not(strings.Join(jwtAlgorithms, ", "))
	}
	return s, nil
}

// readSHA256 converts a digest to lower case. Messages never quote the text, which may be the key
// itself by mistake.
func readSHA256(s string) (string, *problem) {
	if s == "" {
		return "", nil
	}
	if _, err := hex.DecodeString(s); err != nil || len(s) != 64 {
		return "", problemf("a SHA-256 digest has 64 hexadecimal digits").or("the digest of a key is the output of printf %%s KEY | sha256sum")
	}
	return strings.ToLower(s), nil
}

func readFieldValue(s string) (string, *problem) {
	if !httpguts.ValidHeaderFieldValue(s) {
		return "", problemf("a field value can't contain line breaks and control characters")
	}
	_, p := headerParts(s)
	return strings.Trim(s, " \t"), p
}

func readCookie(s string) (string, *problem) {
	switch {
	case !isToken(s):
		return "", not("")
	case strings.Contains(s, "*"):
		return "", problemf("* is not a wildcard in a cookie's name here").or("name each cookie")
	}
	return s, nil
}

func readGlob(s string) (string, *problem) {
	switch {
	case s == "":
		return "", not("such as utm_*; * alone matches every name")
	case strings.ContainsAny(s, "=&?#"):
		return "", problemf("%q is not the name of a parameter", clip(s)).or("write only the name, such as utm_*, without ?, & and value")
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
