package edge

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// HeaderRules are a route's compiled changes to one header section. They are immutable. The zero
// value changes nothing.
type HeaderRules struct {
	remove []string
	set    []field
	add    []field
}

// Piece is a piece of a value: fixed text, or the name of a fact or capture to fill in for each
// request.
type Piece struct {
	Text string
	Name string // used if Name is empty
}

// Facts holds the facts about a request that values may use, in canonical form and before any
// rewrite.
type Facts struct {
	Host, Scheme, Path, Query, Method, Route string
	ClientIP                                 netip.Addr
	Captured                                 map[string]string // captures of the route's path pattern, in escaped form
	RequestID                                func() string     // returns the same ID on each call for one request
}

// maxValue bounds a filled-in value. A longer one is left out, since a truncated value would be a
// different one.
const maxValue = 8 << 10

type field struct {
	name   string
	values []string // nil if they must be filled in
	pieces []Piece
}

// fixed lists the fields that no rule may change, because they belong to the hop or to the message
// framing.
var fixed = canonicalSet(append([]string{"Content-Length", "Host"}, hopByHop...)...)

// CompileHeaderRules checks and compiles rules. They apply in the order remove, set, add. The error
// joins all mistakes.
func CompileHeaderRules(set, add map[string][]Piece, remove []string) (*HeaderRules, error) {
	var errs []error
	rules := &HeaderRules{}
	rules.set = compileFields(set, &errs)
	rules.add = compileFields(add, &errs)
	for _, name := range remove {
		rules.remove = append(rules.remove, compileName(name, &errs))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return rules, nil
}

func compileFields(from map[string][]Piece, errs *[]error) []field {
	out := make([]field, 0, len(from))
	for name, pieces := range from {
		f := field{name: compileName(name, errs), pieces: pieces}
		var fixed strings.Builder
		filled := false
		for _, p := range pieces {
			fixed.WriteString(p.Text)
			filled = filled || p.Name != ""
		}
		if !httpguts.ValidHeaderFieldValue(fixed.String()) {
			*errs = append(*errs, fmt.Errorf("the value of %s holds control characters", name))
		}
		if !filled {
			f.values = []string{fixed.String()}
		}
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b field) int { return strings.Compare(a.name, b.name) })
	return out
}

func compileName(name string, errs *[]error) string {
	canonical := http.CanonicalHeaderKey(name)
	switch {
	case !httpguts.ValidHeaderFieldName(name):
		*errs = append(*errs, fmt.Errorf("%q is not a field name", name))
	case fixed[canonical]:
		*errs = append(*errs, fmt.Errorf("%s cannot be changed: it belongs to the connection or to the message framing", canonical))
	}
	return canonical
}

// Empty reports whether the rules change nothing.
func (hr *HeaderRules) Empty() bool {
	return hr == nil || len(hr.remove)+len(hr.set)+len(hr.add) == 0
}

// Apply changes h in place and fills in facts. It replaces values of h and never writes to their
// arrays.
func (hr *HeaderRules) Apply(h http.Header, facts *Facts) {
	if hr == nil {
		return
	}
	for _, name := range hr.remove {
		delete(h, name)
	}
	for i := range hr.set {
		f := &hr.set[i]
		if values := f.fill(facts); values != nil {
			h[f.name] = values
		} else {
			delete(h, f.name) // the other side's value must not pass for the gateway's
		}
	}
	for i := range hr.add {
		f := &hr.add[i]
		if values := f.fill(facts); values != nil {
			h[f.name] = append(slices.Clip(h[f.name]), values...)
		}
	}
}

// fill returns the field's values, or nil if the filled-in value is too long or not a valid field
// value. The slice is clipped, so that a later append does not write into a shared array.
func (f *field) fill(facts *Facts) []string {
	if f.values != nil {
		return slices.Clip(f.values)
	}
	var b strings.Builder
	for _, p := range f.pieces {
		text := p.Text
		if p.Name != "" {
			text = facts.value(p.Name)
		}
		if b.Len()+len(text) > maxValue {
			return nil
		}
		b.WriteString(text)
	}
	if !httpguts.ValidHeaderFieldValue(b.String()) {
		return nil
	}
	return []string{b.String()}
}

// value returns the text of a fact or capture.
func (f *Facts) value(name string) string {
	switch name {
	case "host":
		return f.Host
	case "scheme":
		return f.Scheme
	case "path":
		return f.Path
	case "query":
		return f.Query
	case "uri":
		if f.Query == "" {
			return f.Path
		}
		return f.Path + "?" + f.Query
	case "method":
		return f.Method
	case "route":
		return f.Route
	case "client_ip":
		if f.ClientIP.IsValid() {
			return f.ClientIP.String()
		}
		return ""
	case "request_id":
		return f.RequestID()
	}
	return f.Captured[name]
}
