package cachepolicy

import (
	"net/http"
	"strings"
	"time"
)

// directives is the set of Cache-Control directives in a field.
type directives uint32

const (
	hasMaxAge directives = 1 << iota
	hasSMaxAge
	hasNoCache // unqualified; in a request it always is
	hasNoStore
	hasPrivate // unqualified
	hasPublic
	hasMustRevalidate
	hasProxyRevalidate
	hasMustUnderstand
	hasNoTransform
	hasImmutable
	hasStaleRevalid
	hasStaleError
	hasMaxStale
	hasMinFresh
	hasOnlyIfCached
)

// cacheControl is a parsed Cache-Control field, or a parsed targeted field.
type cacheControl struct {
	has          directives
	maxAge       time.Duration
	sMaxAge      time.Duration
	staleRevalid time.Duration
	staleError   time.Duration
	maxStale     time.Duration // anyStaleness if max-stale has no argument
	minFresh     time.Duration
	private      []string // canonical field names of the qualified form (RFC 9111 §5.2.2.7)
	noCache      []string // canonical field names of the qualified form (RFC 9111 §5.2.2.4)
}

func (c *cacheControl) any(set directives) bool { return c.has&set != 0 }

// maxDelta replaces a delta-seconds value that is greater or does not fit (RFC 9111 §1.2.2).
const maxDelta = (1 << 31) * time.Second

// anyStaleness is the max-stale of a client that accepts a response of any staleness (RFC 9111
// §5.2.1.2).
const anyStaleness = maxDelta

// parseCacheControl reads the Cache-Control lines of a response.
func parseCacheControl(lines []string) (c cacheControl) {
	for _, line := range lines {
		for line != "" {
			var d directive
			d, line = nextDirective(line)
			c.addResponse(d)
		}
	}
	return c
}

// parseRequestControl reads the Cache-Control lines of a request, or Pragma if there are no such
// lines (RFC 9111 §5.4). It allocates nothing.
func parseRequestControl(h http.Header) (c cacheControl) {
	lines, ok := h["Cache-Control"]
	if !ok {
		lines = h["Pragma"]
	}
	for _, line := range lines {
		for line != "" {
			var d directive
			d, line = nextDirective(line)
			if ok || named(d.name) == hasNoCache {
				c.addRequest(d)
			}
		}
	}
	return c
}

// argument says in which form a directive's argument was written.
type argument uint8

const (
	noArgument     argument = iota
	tokenArgument           // as written, even if it is not a token
	quotedArgument          // between quotes, which are not part of the value; its escapes remain
	brokenArgument          // whitespace around "=", or text after the closing quote
)

// directive is one member of a Cache-Control list.
type directive struct {
	name  string
	value string
	form  argument
	lost  bool // an unclosed quote has swallowed the rest of the line, whose directives are unknown
}

// nextDirective cuts the first directive off a non-empty field line. The name is empty if the line
// holds no further directive. It never fails: text that does not follow the grammar becomes a
// broken argument, and the directive's handler decides its meaning.
func nextDirective(line string) (d directive, rest string) {
	for line != "" && (line[0] == ',' || isOWS(line[0])) {
		line = line[1:]
	}
	end := 0
	for end < len(line) && line[end] != '=' && line[end] != ',' && !isOWS(line[end]) {
		end++
	}
	d.name, line = line[:end], line[end:]
	if line == "" {
		return d, ""
	}
	if line[0] == '=' {
		return d.argue(line[1:])
	}
	junk, rest, whole := cutMember(line)
	// RFC 9111 §5.2 allows no whitespace around "=". The origin meant an argument, so the directive
	// must not count like one without an argument.
	if strings.Contains(junk, "=") {
		d.form = brokenArgument
	}
	d.lost = !whole
	return d, rest
}

// argue reads the argument at the beginning of line.
func (d directive) argue(line string) (directive, string) {
	if end := closingQuote(line); end > 0 {
		junk, rest, whole := cutMember(line[end+1:])
		d.value, d.form, d.lost = line[1:end], quotedArgument, !whole
		if trimOWS(junk) != "" {
			d.form = brokenArgument
		}
		return d, rest
	}
	value, rest, whole := cutMember(line)
	d.value, d.form, d.lost = trimOWS(value), tokenArgument, !whole
	if value != "" && isOWS(value[0]) {
		d.form = brokenArgument
	}
	return d, rest
}

// cutMember cuts line at the first comma outside quotes. An unclosed quote takes the rest of the
// line, and whole is false.
func cutMember(line string) (member, rest string, whole bool) {
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case ',':
			return line[:i], line[i+1:], true
		case '"':
			end := closingQuote(line[i:])
			if end < 0 {
				return line, "", false
			}
			i += end
		}
	}
	return line, "", true
}

// closingQuote returns the index of the quote that closes the quoted-string at the beginning of s
// (RFC 9110 §5.6.4). It returns -1 if s does not begin with a quote or if no quote closes it.
func closingQuote(s string) int {
	if s == "" || s[0] != '"' {
		return -1
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}

// named returns the directive with the given name, or 0 if this package does not know it. Names are
// case-insensitive (RFC 9111 §5.2).
func named(name string) directives {
	var space [len("stale-while-revalidate")]byte
	if len(name) > len(space) {
		return 0
	}
	lower := space[:len(name)]
	for i := range lower {
		lower[i] = lowerByte(name[i])
	}
	switch string(lower) {
	case "max-age":
		return hasMaxAge
	case "s-maxage":
		return hasSMaxAge
	case "no-cache":
		return hasNoCache
	case "no-store":
		return hasNoStore
	case "private":
		return hasPrivate
	case "public":
		return hasPublic
	case "must-revalidate":
		return hasMustRevalidate
	case "proxy-revalidate":
		return hasProxyRevalidate
	case "must-understand":
		return hasMustUnderstand
	case "no-transform":
		return hasNoTransform
	case "immutable":
		return hasImmutable
	case "stale-while-revalidate":
		return hasStaleRevalid
	case "stale-if-error":
		return hasStaleError
	case "max-stale":
		return hasMaxStale
	case "min-fresh":
		return hasMinFresh
	case "only-if-cached":
		return hasOnlyIfCached
	}
	return 0
}

// responseFlags are the response directives without an argument that restrict or describe. If one
// has an argument all the same, the argument is ignored: RFC 8246 §2 requires it for immutable, and
// an origin that sends no-store=1 means no-store.
const responseFlags = hasNoStore | hasMustRevalidate | hasProxyRevalidate | hasMustUnderstand | hasNoTransform | hasImmutable

// addResponse adds a response directive. It ignores an unknown one (RFC 9111 §5.2.3).
func (c *cacheControl) addResponse(d directive) {
	if d.lost {
		c.has |= hasNoStore
	}
	switch name := named(d.name); name {
	case hasMaxAge:
		c.setDelta(hasMaxAge, &c.maxAge, d)
	case hasSMaxAge:
		c.setDelta(hasSMaxAge, &c.sMaxAge, d)
	case hasStaleRevalid:
		c.setDelta(hasStaleRevalid, &c.staleRevalid, d)
	case hasStaleError:
		c.setDelta(hasStaleError, &c.staleError, d)
	case hasNoCache:
		c.setFields(hasNoCache, &c.noCache, d)
	case hasPrivate:
		c.setFields(hasPrivate, &c.private, d)
	case hasPublic:
		if d.form == noArgument { // a directive that loosens the rules must be well-formed
			c.has |= hasPublic
		}
	default:
		c.has |= name & responseFlags
	}
}

// addRequest adds a request directive (RFC 9111 §5.2.1, RFC 5861 §4).
func (c *cacheControl) addRequest(d directive) {
	if d.lost {
		c.has |= hasNoCache
	}
	switch name := named(d.name); name {
	case hasMaxAge:
		c.setDelta(hasMaxAge, &c.maxAge, d)
	case hasMinFresh:
		c.setDelta(hasMinFresh, &c.minFresh, d)
	case hasMaxStale:
		if d.form == noArgument && !c.any(hasMaxStale) {
			c.maxStale, c.has = anyStaleness, c.has|hasMaxStale
		}
		c.setDelta(hasMaxStale, &c.maxStale, d)
	case hasStaleError:
		c.setDelta(hasStaleError, &c.staleError, d)
	default:
		c.has |= name & (hasNoCache | hasNoStore | hasOnlyIfCached)
	}
}

// setDelta takes the first occurrence of a directive, as RFC 9111 §4.2.1 allows if several
// disagree. An invalid value counts as 0, because the same section says that a response with
// invalid freshness information should be considered stale.
func (c *cacheControl) setDelta(flag directives, field *time.Duration, d directive) {
	if c.any(flag) {
		return
	}
	c.has |= flag
	if d.form == tokenArgument || d.form == quotedArgument {
		*field, _ = parseDelta(d.value)
	}
}

// parseDelta reads delta-seconds (RFC 9111 §1.2.2), which are digits only.
func parseDelta(s string) (time.Duration, bool) {
	if s == "" {
		return 0, false
	}
	var seconds int64
	for i := range len(s) {
		digit := s[i] - '0'
		if digit > 9 {
			return 0, false
		}
		seconds = min(seconds*10+int64(digit), 1<<31)
	}
	return time.Duration(seconds) * time.Second, true
}

// setFields adds no-cache or private. With field names it concerns only these fields. It concerns
// the whole response if there are no names, or if they can't be parsed. If the directive comes in
// both forms, the stricter one counts.
func (c *cacheControl) setFields(flag directives, fields *[]string, d directive) {
	names, ok := fieldNames(d)
	if !ok {
		c.has |= flag
		return
	}
	*fields = append(*fields, names...)
}

// fieldNames reads the argument #field-name, which is quoted or, from some origins, a single token
// (RFC 9111 §5.2.2.4).
func fieldNames(d directive) (names []string, ok bool) {
	if d.form != tokenArgument && d.form != quotedArgument {
		return nil, false
	}
	for member := range strings.SplitSeq(d.value, ",") {
		name := trimOWS(member)
		if name == "" {
			continue
		}
		if !isToken(name) {
			return nil, false
		}
		names = append(names, http.CanonicalHeaderKey(name))
	}
	return names, len(names) > 0
}

// NoTransform reports whether intermediaries must not change the content of a message with these
// fields (RFC 9111 §5.2.1.6, §5.2.2.6). A targeted field does not lift the directive, because it
// binds every intermediary and not only caches.
func NoTransform(h http.Header) bool {
	for _, line := range h["Cache-Control"] {
		for line != "" {
			var d directive
			d, line = nextDirective(line)
			if named(d.name) == hasNoTransform {
				return true
			}
		}
	}
	return false
}
