package cachepolicy

import (
	"net/http"
	"strings"
	"time"
)

// directives is the set of Cache-Control directives a field carries.
type directives uint32

const (
	hasMaxAge directives = 1 << iota
	hasSMaxAge
	hasNoCache // unqualified; a request's is always
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

// cacheControl is a Cache-Control field, or a targeted one, read once.
type cacheControl struct {
	has          directives
	maxAge       time.Duration
	sMaxAge      time.Duration
	staleRevalid time.Duration
	staleError   time.Duration
	maxStale     time.Duration // anyStaleness when max-stale has no argument
	minFresh     time.Duration
	private      []string // canonical field names of the qualified form (RFC 9111 §5.2.2.7)
	noCache      []string // canonical field names of the qualified form (RFC 9111 §5.2.2.4)
}

func (c *cacheControl) any(set directives) bool { return c.has&set != 0 }

// maxDelta is what a delta-seconds value that is greater, or does not fit, counts as (RFC 9111 §1.2.2).
const maxDelta = (1 << 31) * time.Second

// anyStaleness is the max-stale of a client that takes whatever there is (RFC 9111 §5.2.1.2).
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

// parseRequestControl reads the Cache-Control lines of a request, or its Pragma where there are none (RFC 9111 §5.4).
// It allocates nothing.
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

// argument says in which form a directive's argument came.
type argument uint8

const (
	noArgument     argument = iota
	tokenArgument           // as it is, also when it is no token at all
	quotedArgument          // between quotes, which are not part of the value; escapes are still in it
	brokenArgument          // whitespace around "=", or something behind the closing quote
)

// directive is one member of a Cache-Control list.
type directive struct {
	name  string
	value string
	form  argument
	lost  bool // a quote that never ends has swallowed the rest of the line: what else it says is not known
}

// nextDirective cuts the first directive off a field line that is not empty. Its name is empty where the line has no more of them.
// Nothing here can fail: what does not follow the grammar becomes a broken argument, and the directive decides what that means.
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
	// RFC 9111 §5.2 has no whitespace around "=". Something is meant by it, but not what a directive without argument means.
	if strings.Contains(junk, "=") {
		d.form = brokenArgument
	}
	d.lost = !whole
	return d, rest
}

// argue reads the argument that line begins with.
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

// cutMember cuts at the first comma that is not inside quotes. A quote that never ends takes all that is left, and whole is false.
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

// closingQuote finds the quote that ends the quoted-string s begins with, -1 when none does or none begins (RFC 9110 §5.6.4).
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

// named gives the directive of a name, 0 for one that is not known here. Names are case-insensitive (RFC 9111 §5.2).
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

// responseFlags are the response directives without argument that restrict or describe. An argument that comes nevertheless is
// ignored: RFC 8246 §2 says so for immutable, and who writes no-store=1 means no-store.
const responseFlags = hasNoStore | hasMustRevalidate | hasProxyRevalidate | hasMustUnderstand | hasNoTransform | hasImmutable

// addResponse takes up a response directive. Unknown ones are ignored (RFC 9111 §5.2.3).
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
		if d.form == noArgument { // what loosens the rules must be said properly
			c.has |= hasPublic
		}
	default:
		c.has |= name & responseFlags
	}
}

// addRequest takes up a request directive (RFC 9111 §5.2.1, RFC 5861 §4).
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

// setDelta takes the first occurrence of a directive, which RFC 9111 §4.2.1 allows where several disagree. An invalid value counts
// as 0: the same section wants a response with invalid freshness information to be considered stale.
func (c *cacheControl) setDelta(flag directives, field *time.Duration, d directive) {
	if c.any(flag) {
		return
	}
	c.has |= flag
	if d.form == tokenArgument || d.form == quotedArgument {
		*field, _ = parseDelta(d.value)
	}
}

// parseDelta reads delta-seconds (RFC 9111 §1.2.2): digits and nothing else.
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

// setFields takes no-cache or private. With field names it concerns these alone; without, or when the names can't be read, the
// whole response. A directive that comes in both forms counts in the stricter one.
func (c *cacheControl) setFields(flag directives, fields *[]string, d directive) {
	names, ok := fieldNames(d)
	if !ok {
		c.has |= flag
		return
	}
	*fields = append(*fields, names...)
}

// fieldNames reads the argument #field-name, quoted or, as some write it, a single token (RFC 9111 §5.2.2.4).
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

// NoTransform reports whether the content of a message with these fields must be left as it is (RFC 9111 §5.2.1.6, §5.2.2.6).
// A targeted field does not lift it: it binds every intermediary, cache or not.
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
