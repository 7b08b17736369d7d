package config

import (
	"errors"
	"reflect"
	"slices"

	"go.yaml.in/yaml/v4"
)

// Parse reads a configuration. The file's name is for messages only; env and readFile give what ${NAME} and ${file:/path}
// stand for. The error, when there is one, is of type Errors and holds every mistake that was found.
func Parse(file string, src []byte, env func(string) (string, bool), readFile func(string) ([]byte, error)) (*Config, error) {
	r := &report{file: file}
	root := readTree(src, r, newExpander(env, readFile))
	if root == nil {
		return nil, r.err()
	}
	c := decodeConfig(root, &decoder{r, map[*node]bool{}})
	if err := r.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// newExpander makes nothing of what is not given.
func newExpander(env func(string) (string, bool), readFile func(string) ([]byte, error)) expander {
	if env == nil {
		env = func(string) (string, bool) { return "", false }
	}
	if readFile == nil {
		readFile = func(string) ([]byte, error) { return nil, errors.New("no files are read here") }
	}
	return expander{env, readFile}
}

// readTree gives the file's root as a node, with `defaults` still beside the routes; nil when there is no map to be read.
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
		r.at(root, problemf("a configuration is a map, this is %v", root.kind).or("it needs at least `upstreams` and `routes`"))
	}
	return nil
}

// decodeConfig decodes all that can be decoded; what can't is noted.
func decodeConfig(root *node, d *decoder) *Config {
	root = withDefaults(root, d)
	c := new(Config)
	c.setDefaults()
	d.value(root, reflect.ValueOf(c).Elem(), column{})
	c.complete(root)
	validate(c, root, d)
	return c
}

// withDefaults checks `defaults` and lays each route over them.
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

// overlayAll lays each route over the defaults.
func overlayAll(routes, base *node) *node {
	out := *routes
	out.items = make([]*node, len(routes.items))
	for i, own := range routes.items {
		out.items[i] = overlay(own, base)
	}
	return &out
}

// defaults decodes `defaults` by itself, so that its mistakes are found also when no route brings them to light. It gives
// them without the keys that belong to a single route.
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

// singleRouteKeys are the keys of a route that can't be shared.
var singleRouteKeys = []string{"name", "match"}

// defaultsColumns are the keys that `defaults` may have.
func defaultsColumns() []column {
	return slices.DeleteFunc(columns(reflect.TypeFor[Route]()), func(c column) bool { return slices.Contains(singleRouteKeys, c.key) })
}
