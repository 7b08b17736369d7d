package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Print writes c as a configuration file with every default filled in, as the gateway uses it.
// Parse of the result returns an equal c. Print does not hide secrets.
func Print(c *Config) ([]byte, error) {
	root := printStruct(reflect.ValueOf(c).Elem(), freshOf(reflect.TypeFor[Config]()))
	out, err := yaml.Dump(root, yaml.WithLineWidth(-1))
	if err != nil {
		return nil, fmt.Errorf("print the configuration: %w", err)
	}
	return out, nil
}

// freshOf returns a value with its defaults.
func freshOf(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	setDefaults(v)
	return v
}

// printStruct writes the keys of a struct. It omits an empty value if the default is empty too.
func printStruct(v, fresh reflect.Value) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, c := range columns(v.Type()) {
		f, before := v.Field(c.index), fresh.Field(c.index)
		single := f.Kind() != reflect.Struct || scalarOf(f.Type(), c) != nil
		if single && f.IsZero() && before.IsZero() && !c.always {
			continue
		}
		if value := printValue(f, before, c); !hollow(value) || f.Type() == jsonType {
			n.Content = append(n.Content, printText(c.key), value)
		}
	}
	return n
}

// hollow reports whether n is a map without entries. A struct without printed values becomes such a
// map.
func hollow(n *yaml.Node) bool { return n.Kind == yaml.MappingNode && len(n.Content) == 0 }

// printValue writes any value of the configuration. fresh is its default.
func printValue(v, fresh reflect.Value, c column) *yaml.Node {
	if v.Type() == jsonType {
		return printJSON(v)
	}
	if s := scalarOf(v.Type(), c); s != nil {
		return printScalar(v, s)
	}
	switch v.Kind() {
	case reflect.Pointer:
		return printValue(v.Elem(), freshOf(v.Type().Elem()), c)
	case reflect.Slice:
		return printList(v, c)
	case reflect.Map:
		return printMap(v, c)
	}
	return printStruct(v, fresh)
}

func printList(v reflect.Value, c column) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode}
	if scalarOf(v.Type().Elem(), c) != nil {
		n.Style = yaml.FlowStyle
	}
	for i := range v.Len() {
		n.Content = append(n.Content, printValue(v.Index(i), freshOf(v.Type().Elem()), c))
	}
	return n
}

// printMap writes a map sorted by key, so that equal configurations have equal text. Parts keep
// their own order.
func printMap(v reflect.Value, c column) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	ks := v.MapKeys()
	slices.SortFunc(ks, func(a, b reflect.Value) int {
		if v.Type().Elem() == partType {
			return cmp.Compare(v.MapIndex(a).Interface().(*Part).Order, v.MapIndex(b).Interface().(*Part).Order)
		}
		if a.CanInt() {
			return cmp.Compare(a.Int(), b.Int())
		}
		return strings.Compare(a.String(), b.String())
	})
	for _, key := range ks {
		name := printScalar(key, scalarOf(key.Type(), column{}))
		value := printValue(v.MapIndex(key), freshOf(v.Type().Elem()), column{as: c.as})
		n.Content = append(n.Content, name, value)
	}
	return n
}

// printText writes a text.
func printText(s string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	if strings.ContainsAny(s, "\n\u0085\u2028\u2029") {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

// printScalar writes a single value. It doubles each $, so that no text looks like a reference.
func printScalar(v reflect.Value, s *scalar) *yaml.Node {
	if v.Kind() == reflect.String { // includes named types, for which print has no case
		v = v.Convert(reflect.TypeFor[string]())
	}
	text := s.print(v.Interface())
	if !s.quoted {
		return &yaml.Node{Kind: yaml.ScalarNode, Value: text}
	}
	return printText(strings.ReplaceAll(text, "$", "$$"))
}
