package edge

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// HeaderRules are the changes that a route makes to one header section, compiled. The zero value changes nothing. It is immutable.
type HeaderRules struct {
	remove []string
	set    []field
	add    []field
}

type field struct {
	name   string
	values []string
}

// fixed are fields that no rule may touch: they belong to the hop or to the framing of the message.
var fixed = canonicalSet(append([]string{"Content-Length", "Host"}, hopByHop...)...)

// CompileHeaderRules checks and compiles rules; remove is done first, then set, then add. All that is wrong is reported.
func CompileHeaderRules(set, add map[string]string, remove []string) (*HeaderRules, error) {
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

func compileFields(from map[string]string, errs *[]error) []field {
	out := make([]field, 0, len(from))
	for name, value := range from {
		if !httpguts.ValidHeaderFieldValue(value) {
			*errs = append(*errs, fmt.Errorf("the value of %s holds control characters", name))
		}
		// The capacity keeps an append by whoever comes next from writing into the shared slice.
		out = append(out, field{compileName(name, errs), slices.Clip([]string{value})})
	}
	slices.SortFunc(out, func(a, b field) int { return strings.Compare(a.name, b.name) })
	return out
}

func compileName(name string, errs *[]error) string {
	canonical := http.CanonicalHeaderKey(name)
	switch {
	case !httpguts.ValidHeaderFieldName(name):
		*errs = append(*errs, fmt.Errorf("%q is no field name", name))
	case fixed[canonical]:
		*errs = append(*errs, fmt.Errorf("%s can't be changed: it belongs to the connection or to the framing of the message", canonical))
	}
	return canonical
}

// Empty reports whether the rules change nothing.
func (hr *HeaderRules) Empty() bool {
	return hr == nil || len(hr.remove)+len(hr.set)+len(hr.add) == 0
}

// Apply changes h in place. Values of h are replaced, never written to.
func (hr *HeaderRules) Apply(h http.Header) {
	if hr == nil {
		return
	}
	for _, name := range hr.remove {
		delete(h, name)
	}
	for _, f := range hr.set {
		h[f.name] = f.values
	}
	for _, f := range hr.add {
		h[f.name] = append(slices.Clip(h[f.name]), f.values...)
	}
}
