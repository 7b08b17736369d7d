package cachepolicy

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
)

// Param is a query parameter and says whether it is part of the key.
type Param struct {
	Text    string    // name and value as sent
	Name    string    // the name as the origin reads it
	Fate    ParamFate // whether it is part of the key, and why
	Pattern string    // the pattern that decided; "" if no pattern did
}

// Params returns the fate of each parameter of a query in KeyQuery, in the order sent.
func (r *Rules) Params(raw string) []Param {
	if raw == "" {
		return nil
	}
	var params []Param
	for text := range strings.SplitSeq(raw, "&") {
		fate, pattern := r.paramFate(text)
		params = append(params, Param{Text: text, Name: paramName(text), Fate: fate, Pattern: pattern})
	}
	return params
}

// KeyPart is one part of a key, as Key.Full holds it.
type KeyPart struct {
	Name   string // route, scheme, host, path, query; a field's name; "cookie NAME"
	Values []string
	Secret bool // the Values are digests, because no key holds a credential
}

// Describe reads all parts of the key back from Full. It reports false if Rules.Key did not make
// Full.
func (k Key) Describe() ([]KeyPart, bool) {
	p, ok := k.Parts()
	if !ok {
		return nil, false
	}
	parts := []KeyPart{
		{Name: "route", Values: []string{p.Route}}, {Name: "scheme", Values: []string{p.Scheme}}, {Name: "host", Values: []string{p.Host}},
		{Name: "path", Values: []string{p.Path}}, {Name: "query", Values: []string{p.Query}},
	}
	d := keyReader{rest: k.Full[1+partsLen(p):]}
	for range d.count() {
		name := d.part()
		parts = append(parts, KeyPart{Name: name, Values: d.values(givesAccess(name)), Secret: givesAccess(name)})
	}
	for range d.count() {
		name := d.part()
		parts = append(parts, KeyPart{Name: "cookie " + name, Values: d.values(true), Secret: true})
	}
	if strings.HasPrefix(d.rest, "A") {
		d.rest = d.rest[1:]
		parts = append(parts, KeyPart{Name: "Authorization", Values: d.values(true), Secret: true})
		if strings.HasPrefix(d.rest, "C") {
			d.rest = d.rest[1:]
			parts = append(parts, KeyPart{Name: "credential", Values: []string{d.digest()}, Secret: true})
		}
	}
	if strings.HasPrefix(d.rest, "S") {
		d.rest = d.rest[1:]
		parts = append(parts, KeyPart{Name: "rules for sharing", Values: []string{d.part()}})
	}
	return parts, !d.broken && d.rest == ""
}

// partsLen returns the number of bytes that the five parts take in Full.
func partsLen(p KeyParts) (n int) {
	for _, s := range [...]string{p.Route, p.Scheme, p.Host, p.Path, p.Query} {
		n += len(binary.AppendUvarint(nil, uint64(len(s)))) + len(s)
	}
	return n
}

// keyReader decodes the encoding that makeKey writes.
type keyReader struct {
	rest   string
	broken bool
}

// count reads a number. It must not exceed the number of bytes left.
func (d *keyReader) count() int {
	n, rest, ok := cutUvarint(d.rest)
	if !ok || n > uint64(len(rest)) {
		d.broken = true
		return 0
	}
	d.rest = rest
	return int(n)
}

func (d *keyReader) part() string {
	part, rest, ok := cutPart(d.rest)
	if !ok {
		d.broken = true
		return ""
	}
	d.rest = rest
	return part
}

func (d *keyReader) values(secret bool) []string {
	values := []string{}
	for range d.count() {
		if !secret {
			values = append(values, d.part())
			continue
		}
		values = append(values, d.digest())
	}
	return values
}

func (d *keyReader) digest() string {
	const size = 32
	if len(d.rest) < size {
		d.broken = true
		return ""
	}
	sum := d.rest[:size]
	d.rest = d.rest[size:]
	return shownDigest(sum)
}

// shownDigest returns enough of a digest to tell two apart.
func shownDigest(sum string) string { return "sha256:" + hex.EncodeToString([]byte(sum[:6])) + "…" }

// VaryField is a field that a stored response varies on.
type VaryField struct {
	Name    string
	Value   string // normalised, or a digest; "" if the stored response's request had no such field
	Present bool   // the stored response's request had the field
	Matches bool   // the explained request has the same value
}

// Describe returns, for each field in v, the value that selects the response, and whether q has the
// same value.
func (v Vary) Describe(q *Request) []VaryField {
	var fields []VaryField
	for v != "" {
		s, rest, ok := v.next()
		if !ok {
			return fields
		}
		value := s.value
		if coding, fixed := s.fixed(); fixed {
			value = "accepts " + coding
		} else if s.present && givesAccess(s.name) && len(value) == 32 {
			value = shownDigest(value)
		}
		fields = append(fields, VaryField{Name: s.name, Value: value, Present: s.present, Matches: s.matches(q.Header[s.name])})
		v = rest
	}
	return fields
}
