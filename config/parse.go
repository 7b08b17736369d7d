package config

import (
	"errors"
	"reflect"
	"slices"

	"go.yaml.in/yaml/v4"
)

// Parse reads a configuration. file is only for messages. env and readFile return the values of
// ${NAME} and ${file:/path}. If there is an error, it is of type Errors and holds every mistake.
func Parse(file string, src []byte, env func(string) (string, bool), readFile func(string) ([]byte, error)) (*Config, error) {
	c, _, err := ParseWarn(file, src, env, readFile)
	return c, err
}

// ParseWarn is Parse, and also returns the settings that have no effect.
func ParseWarn(file string, src []byte, env func(string) (string, bool), readFile func(string) ([]byte, error)) (*Config, Warnings, error) {
	r := &report{file: file}
	root := readTree(src, r, newExpander(env, readFile))
	if root == nil {
		return nil, nil, r.err()
	}
	c := decodeConfig(root, &decoder{r, map[*node]bool{}})
	if err := r.err(); err != nil {
		return nil, nil, err
	}
	return c, inOrderOnce(r.warnings), nil
}

// newExpander replaces nil functions by ones that find nothing.
func newExpander(env func(string) (string, bool), readFile func(string) ([]byte, error)) expander {
	if env == nil {
		env = func(string) (string, bool) { return "", false }
	}
	if readFile == nil {
		readFile = func(string) ([]byte, error) { return nil, errors.New("files can't be read here") }
	}
	return expander{env, readFile}
}

// readTree returns the file's root as a node, in which `defaults` is not yet merged into the
// routes. It returns nil if there is no readable map.
func readTree(src []byte, r *report, x expander) *node {
	doc := load(src, r)
	if doc == nil {
		return nil
	}
	rs := &resolver{report: r, expander: x, open: map[*yaml.Node]bool{}}
	root := rs.resolve(doc.Content[0], nil, "")
	switch root.kind {
	case kindMap:
		return root
	case kindBroken:
	default:
		r.at(root, problemf("a configuration must be a map, this is %v", root.kind).or("it needs at least `upstreams` and `routes`"))
	}
	return nil
}

// decodeConfig decodes as much as possible and records the mistakes.
func decodeConfig(root *node, d *decoder) *Config {
	root = withDefaults(root, d)
	c := new(Config)
	c.setDefaults()
	d.value(root, reflect.ValueOf(c).Elem(), column{})
	c.complete(root)
	validate(c, root, d)
	return c
}

// withDefaults checks `defaults` and merges it into each route.
func withDefaults(root *node, d *decoder) *node {
	base := root.get(defaultsKey)
	if base == nil {
		return root
	}
	base = d.defaults(base)
	out := *root
	out.fields = nil
	for _, f := range root.fields {
		switch {
		case f.key.text == defaultsKey:
			continue
		case f.key.text == "routes" && f.value.kind == kindList:
			f.value = overlayAll(f.value, base)
		}
		out.fields = append(out.fields, f)
	}
	return &out
}

// overlayAll merges the defaults into each route.
func overlayAll(routes, base *node) *node {
	out := *routes
	out.items = make([]*node, len(routes.items))
	for i, own := range routes.items {
		out.items[i] = overlay(own, base)
	}
	return &out
}

// defaults decodes `defaults` by itself, so that its mistakes are found even if no route uses it.
// It returns `defaults` without the keys that belong to a single route.
func (d *decoder) defaults(base *node) *node {
	shared := *base
	shared.fields = nil
	for _, f := range base.fields {
		if slices.Contains(singleRouteKeys, f.key.text) {
			d.atKey(f.key, problemf("`%s` belongs to a single route", f.key.text))
			continue
		}
		shared.fields = append(shared.fields, f)
	}
	var scratch Route
	scratch.setDefaults()
	d.structure(&shared, reflect.ValueOf(&scratch).Elem(), defaultsColumns())
	return &shared
}

// singleRouteKeys lists the keys of a route that can't be shared.
var singleRouteKeys = []string{"name", "match"}

// defaultsColumns returns the keys that `defaults` may have.
func defaultsColumns() []column {
	return slices.DeleteFunc(columns(reflect.TypeFor[Route]()), func(c column) bool { return slices.Contains(singleRouteKeys, c.key) })
}
