package config

import (
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// scalar is a kind of single value: how to read, print and describe it.
type scalar struct {
	name   string // "a duration"
	read   func(*node) (any, *problem)
	print  func(any) string
	schema map[string]any
	quoted bool // printed as a string, never as a YAML type
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	urlType      = reflect.TypeFor[*url.URL]()
	prefixType   = reflect.TypeFor[netip.Prefix]()
	hashOnType   = reflect.TypeFor[HashOn]()
	rateType     = reflect.TypeFor[Rate]()
	rateByType   = reflect.TypeFor[RateBy]()
)

// scalarOf returns the notation of a type's values in a column, or nil if they are not single
// values.
func scalarOf(t reflect.Type, c column) *scalar {
	switch t {
	case durationType:
		return &durationScalar
	case urlType:
		return &urlScalar
	case prefixType:
		return &prefixScalar
	case hashOnType:
		return &hashOnScalar
	case rateType:
		return &rateScalar
	case rateByType:
		return &rateByScalar
	case moneyType:
		return &moneyScalar
	}
	switch t.Kind() {
	case reflect.String:
		if s := textKinds[c.as]; s != nil {
			return s
		}
		return &stringScalar
	case reflect.Bool:
		return &boolScalar
	case reflect.Int:
		return &intScalar
	case reflect.Int64:
		return &sizeScalar
	case reflect.Float64:
		if c.as == "share" {
			return &shareScalar
		}
		return &numberScalar
	}
	return nil
}

// choose checks a value against the column's words.
func (c column) choose(n *node) *problem {
	switch {
	case c.only != "" && n.text != c.only, slices.Contains(c.later, n.text):
		p := unsupported()
		if c.only != "" {
			p.or("leave it out, or write %s", c.only)
		}
		return p
	case c.enum == nil || slices.Contains(c.enum, n.text):
		return nil
	}
	p := problemf("%s is not an allowed value", n.quoted())
	if near := nearest(n.text, c.enum); near != "" {
		return p.or("did you mean `%s`?", near)
	}
	return p.or("allowed: %s", strings.Join(c.enum, ", "))
}

// bound checks a value against the column's bounds.
func (c column) bound(s *scalar, v any) *problem {
	low, high := c.limit(s, c.min), c.limit(s, c.max)
	switch {
	case low != nil && less(v, low) && high != nil, high != nil && less(high, v):
		return problemf("%s is out of range", s.print(v)).or("from %s to %s", orZero(c.min), c.max)
	case low != nil && less(v, low):
		return problemf("%s is too small", s.print(v)).or("at least %s", c.min)
	}
	return nil
}

// limit reads a bound in the notation of the value. It returns nil if there is no bound.
func (c column) limit(s *scalar, text string) any {
	if text == "" {
		return nil
	}
	v, _ := s.read(&node{text: text, source: text, plain: true})
	return v
}

// orZero returns the lower bound for messages.
func orZero(s string) string {
	if s == "" {
		return "0"
	}
	return s
}

// less compares two numbers of one type.
func less(a, b any) bool {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	if x.CanFloat() {
		return x.Float() < y.Float()
	}
	return x.CanInt() && x.Int() < y.Int()
}

var stringScalar = scalar{
	name:   "a text",
	read:   func(n *node) (any, *problem) { return n.text, nil },
	print:  func(v any) string { return v.(string) },
	schema: map[string]any{"type": []string{"string", "number", "boolean"}},
	quoted: true,
}

var boolScalar = scalar{
	name:   "true or false",
	read:   readBool,
	print:  func(v any) string { return strconv.FormatBool(v.(bool)) },
	schema: map[string]any{"type": "boolean"},
}

// readBool reads only true and false, and not the other words of some versions of YAML.
func readBool(n *node) (any, *problem) {
	p := problemf("%s is neither true nor false", n.quoted())
	word := strings.ToLower(n.text)
	switch {
	case n.plain && (n.text == "true" || n.text == "false"):
		return n.text == "true", nil
	case word == "true" || word == "yes" || word == "on":
		return nil, p.or("write true")
	case word == "false" || word == "no" || word == "off":
		return nil, p.or("write false")
	}
	return nil, p
}

var intScalar = scalar{
	name:   "a whole number",
	read:   readInt,
	print:  func(v any) string { return strconv.Itoa(v.(int)) },
	schema: map[string]any{"type": "integer"},
}

func readInt(n *node) (any, *problem) {
	i, err := strconv.ParseInt(n.text, 10, 32) // 32 bits on every machine, so that a file means the same everywhere
	switch {
	case err != nil:
		return nil, problemf("%s is not a whole number", n.quoted())
	case !n.plain:
		return nil, problemf("%s is a text, not a number", n.quoted()).or("write it without quotes")
	}
	return int(i), nil
}

var numberScalar = scalar{
	name:   "a number",
	read:   readNumber,
	print:  func(v any) string { return strconv.FormatFloat(v.(float64), 'f', -1, 64) },
	schema: map[string]any{"type": "number"},
}

func readNumber(n *node) (any, *problem) {
	if !n.plain || !decimal(n.text) {
		return nil, problemf("%s is not a number", n.quoted()).or("such as 1.5, without quotes")
	}
	f, err := strconv.ParseFloat(n.text, 64)
	if err != nil {
		return nil, problemf("%s is not a number", n.quoted())
	}
	return f, nil
}

var urlScalar = scalar{
	name:   "the URL of a target",
	read:   readTarget,
	print:  func(v any) string { return v.(*url.URL).String() },
	schema: map[string]any{"type": "string", "pattern": `^[Hh][Tt][Tt][Pp][Ss]?://`},
	quoted: true,
}

// readTarget reads the URL of an upstream's target.
func readTarget(n *node) (any, *problem) {
	u, err := url.Parse(n.text)
	p := problemf("%s is not the URL of a target", n.quoted())
	switch {
	case err != nil || u.Host == "" || u.Opaque != "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, p.or("such as http://127.0.0.1:7001")
	case u.User != nil:
		return nil, problemf("a target's URL must not have a user or a password").or("set the Authorization field with headers.request.set")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, p.or("a target must not have a query or a fragment")
	case u.Path != "" && u.Path != "/":
		return nil, p.or("a target must not have a path; add one with rewrite.add_prefix")
	}
	if bad := checkHostPort(u); bad != nil {
		return nil, bad
	}
	return &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host)}, nil
}

// checkHostPort checks the parts that url.Parse does not.
func checkHostPort(u *url.URL) *problem {
	if u.Hostname() == "" {
		return problemf("the URL has no host")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return problemf("%s is not a port", clip(port)).or("from 1 to 65535")
		}
	} else if strings.HasSuffix(u.Host, ":") {
		return problemf("the URL has a colon without a port")
	}
	return checkHost(u.Hostname())
}

var prefixScalar = scalar{
	name:   "a network",
	read:   readPrefix,
	print:  func(v any) string { return v.(netip.Prefix).String() },
	schema: map[string]any{"type": "string", "pattern": `^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$`},
	quoted: true,
}

// readPrefix reads a network as CIDR, or a single address.
func readPrefix(n *node) (any, *problem) {
	if addr, err := netip.ParseAddr(n.text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(n.text)
	switch {
	case strings.Contains(n.text, "%"):
		return nil, problemf("%s has a zone, which is a name on one machine", n.quoted()).or("leave out %% and what follows it")
	case err != nil:
		return nil, problemf("%s is not a network", n.quoted()).or("such as 10.0.0.0/8 or ::1")
	case prefix.Addr().Is4In6():
		return nil, problemf("%s is IPv4 written as IPv6", n.quoted()).or("write it as IPv4")
	case prefix != prefix.Masked():
		return nil, problemf("%s has bits outside its mask", n.quoted()).or("did you mean %s?", prefix.Masked())
	}
	return prefix, nil
}

var hashOnScalar = scalar{
	name:   "header:NAME, cookie:NAME, path or client_ip",
	read:   readHashOn,
	print:  func(v any) string { return v.(HashOn).String() },
	schema: map[string]any{"type": "string", "pattern": `^(|path|client_ip|(header|cookie):.+)$`},
	quoted: true,
}

// readHashOn reads the value to hash.
func readHashOn(n *node) (any, *problem) {
	source, name, named := strings.Cut(n.text, ":")
	h := HashOn{HashSource(source), name}
	switch {
	case n.text == "", !named && (h.Source == HashPath || h.Source == HashClientIP):
		return h, nil
	case named && h.Source == HashHeader && (strings.EqualFold(name, "host") || strings.Contains(name, "*")):
		return nil, problemf("requests don't differ in the field %s", clip(name)).or("header:X-User, cookie:NAME, path or client_ip")
	case named && h.Source == HashHeader && isToken(name):
		h.Name = canonicalField(name)
		return h, nil
	case named && h.Source == HashCookie && isToken(name):
		return h, nil
	}
	return nil, problemf("%s can't be hashed", n.quoted()).or("header:NAME, cookie:NAME, path or client_ip")
}

// String formats h as in the file.
func (h HashOn) String() string {
	if h.Name == "" {
		return string(h.Source)
	}
	return string(h.Source) + ":" + h.Name
}

var rateByScalar = scalar{
	name:   "client_ip, header:NAME or route",
	read:   readRateBy,
	print:  func(v any) string { return v.(RateBy).String() },
	schema: map[string]any{"type": "string", "pattern": `^(client_ip|route|header:.+)$`},
	quoted: true,
}

// readRateBy reads the property by which clients are told apart.
func readRateBy(n *node) (any, *problem) {
	const allowed = "client_ip, header:X-User or route"
	source, name, named := strings.Cut(n.text, ":")
	by := RateBy{RateSource(source), name}
	switch {
	case !named && (by.Source == RateByClientIP || by.Source == RateByRoute):
		return by, nil
	case n.text == "subject" || source == "jwt":
		return nil, problemf("%s tells clients apart by their identity, which is not supported by this version", n.quoted()).or(allowed)
	case by.Source != RateByHeader || !isToken(name):
		return nil, problemf("%s does not tell clients apart", n.quoted()).or(allowed)
	}
	by.Name = canonicalField(name)
	switch {
	case by.Name == "Host":
		return nil, problemf("requests of one client differ in Host, and other clients' do not").or(allowed)
	case slices.Contains(connectionFields, by.Name):
		return nil, problemf("%s belongs to the connection and tells no clients apart", by.Name).or(allowed)
	case by.Name == "Forwarded" || by.Name == "X-Forwarded-For" || by.Name == "X-Real-Ip":
		return nil, problemf("each client can write %s, and proxies extend it", by.Name).or("by: client_ip, with the proxies in front in server.trusted_proxies")
	}
	return by, nil
}

// String formats by as in the file.
func (by RateBy) String() string {
	if by.Name == "" {
		return string(by.Source)
	}
	return string(by.Source) + ":" + by.Name
}
