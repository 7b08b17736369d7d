package cachepolicy

import (
	"net/http"
	"time"

	"github.com/dunglas/httpsfv"
)

// defaultTargets lists the targeted fields that this cache obeys unless the rules name others (RFC
// 9213 §3).
var defaultTargets = []string{"Cdn-Cache-Control"}

// control holds the directives that apply to a response, and their source.
type control struct {
	cacheControl
	final bool   // Expires does not count, because the directives come from a targeted field (RFC 9213 §2.2) or the rules ignore the origin
	field string // the field with the directives; "" if the rules ignore the origin
}

// control reads the directives that apply to this cache. With IgnoreOrigin the result is empty.
func (r *Rules) control(h http.Header) control {
	if r.IgnoreOrigin {
		return control{final: true}
	}
	for _, name := range r.targets() {
		if c, ok := parseTargeted(h[name]); ok {
			return control{cacheControl: c, final: true, field: name}
		}
	}
	return control{cacheControl: parseCacheControl(h["Cache-Control"]), field: "Cache-Control"}
}

// targets returns the canonical names of the targeted fields in order of precedence.
func (r *Rules) targets() []string {
	if r.Targets == nil {
		return defaultTargets
	}
	return r.Targets
}

// parseTargeted reads a targeted field, which is a Dictionary Structured Field. It reports false if
// the field is absent, empty or invalid in any part (RFC 9213 §2.1).
func parseTargeted(lines []string) (c cacheControl, ok bool) {
	if len(lines) == 0 {
		return c, false
	}
	dict, err := httpsfv.UnmarshalDictionary(lines)
	if err != nil || len(dict.Names()) == 0 {
		return c, false
	}
	for _, name := range dict.Names() {
		member, _ := dict.Get(name)
		c.addMember(name, member)
	}
	return c, true
}

// addMember adds one member and ignores its parameters. It ignores a value of the wrong type (RFC
// 9213 §2.1), except for a directive that restricts: obeying a misspelt restriction is safer than
// losing it.
func (c *cacheControl) addMember(name string, member httpsfv.Member) {
	var value any
	if item, ok := member.(httpsfv.Item); ok {
		value = item.Value
	}
	if value == false {
		return
	}
	seconds, isDelta := deltaOf(value)
	switch flag := named(name); {
	case flag == hasMaxAge && isDelta:
		c.has, c.maxAge = c.has|flag, seconds
	case flag == hasSMaxAge && isDelta:
		c.has, c.sMaxAge = c.has|flag, seconds
	case flag == hasStaleRevalid && isDelta:
		c.has, c.staleRevalid = c.has|flag, seconds
	case flag == hasStaleError && isDelta:
		c.has, c.staleError = c.has|flag, seconds
	case flag == hasNoCache:
		c.setMemberFields(flag, &c.noCache, member)
	case flag == hasPrivate:
		c.setMemberFields(flag, &c.private, member)
	case flag == hasPublic && value == true:
		c.has |= flag
	default:
		c.has |= flag & responseFlags
	}
}

// deltaOf reads an Integer as delta-seconds. A negative one is invalid freshness information, so it
// counts as 0 (RFC 9111 §4.2.1).
func deltaOf(value any) (time.Duration, bool) {
	n, ok := value.(int64)
	return time.Duration(min(max(n, 0), 1<<31)) * time.Second, ok
}

// setMemberFields reads the field names of a qualified directive: a String that lists them, a
// Token, or an Inner List of either.
func (c *cacheControl) setMemberFields(flag directives, fields *[]string, member httpsfv.Member) {
	names, ok := memberNames(member)
	if !ok {
		c.has |= flag
		return
	}
	*fields = append(*fields, names...)
}

func memberNames(member httpsfv.Member) (names []string, ok bool) {
	switch m := member.(type) {
	case httpsfv.Item:
		return itemNames(m)
	case httpsfv.InnerList:
		for _, item := range m.Items {
			more, ok := itemNames(item)
			if !ok {
				return nil, false
			}
			names = append(names, more...)
		}
	}
	return names, len(names) > 0
}

func itemNames(item httpsfv.Item) ([]string, bool) {
	switch v := item.Value.(type) {
	case string:
		return fieldNames(directive{value: v, form: quotedArgument})
	case httpsfv.Token:
		return fieldNames(directive{value: string(v), form: tokenArgument})
	}
	return nil, false
}
