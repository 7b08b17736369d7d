package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"strconv"
)

// Schema returns the JSON Schema (2020-12) of a configuration file. It is generated from the
// structs that Parse uses. Editors use it to complete and check a file. It does not include checks
// that only Parse can do, such as whether a named upstream exists.
func Schema() ([]byte, error) {
	texts, err := readComments()
	if err != nil {
		return nil, err
	}
	s := schemer{comments: texts, defs: map[string]any{"reference": referenceSchema}}
	root := s.object(freshOf(reflect.TypeFor[Config]()), columns(reflect.TypeFor[Config]()))
	s.defs["defaults"] = s.object(freshOf(reflect.TypeFor[Route]()), defaultsColumns())
	root["properties"].(map[string]any)[defaultsKey] = map[string]any{
		"$ref":        "#/$defs/defaults",
		"description": "`defaults` holds keys for all routes: any key of a route. A route's own value wins, maps are merged key by key.",
	}
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Penstock configuration"
	root["$defs"] = s.defs
	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the schema: %w", err)
	}
	return out, nil
}

// referenceSchema describes a reference, which may replace any single value.
var referenceSchema = map[string]any{
	"type":        "string",
	"pattern":     `\$\{.+\}`,
	"description": "${NAME} and ${NAME:-default} are taken from the environment, ${file:/path} from a file.",
}

// schemer generates the schema of the configuration's types.
type schemer struct {
	*comments
	defs map[string]any // the structs, by name
}

// object returns the schema of a struct with these columns. fresh holds its defaults.
func (s schemer) object(fresh reflect.Value, cs []column) map[string]any {
	t := fresh.Type()
	properties := map[string]any{}
	var required []string
	for _, c := range cs {
		f := t.Field(c.index)
		p := s.value(f.Type, fresh.Field(c.index), c)
		if text := s.field(t.Name(), c) + s.choices(f.Type.Name(), c.enum); text != "" {
			p["description"] = text
		}
		if d := defaultOf(fresh.Field(c.index), c); d != nil {
			p["default"] = d
		}
		properties[c.key] = p
		if c.required {
			required = append(required, c.key)
		}
	}
	out := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if required != nil {
		out["required"] = required
	}
	if text := s.types[t.Name()]; text != "" {
		out["description"] = text
	}
	return out
}

// value returns the schema of any value. fresh is its default.
func (s schemer) value(t reflect.Type, fresh reflect.Value, c column) map[string]any {
	if t == jsonType {
		return map[string]any{}
	}
	if kind := scalarOf(t, c); kind != nil {
		out := single(t, c, kind)
		if t == onErrorType { // the word null, as YAML writes it without quotes
			out["anyOf"] = append(out["anyOf"].([]any), map[string]any{"type": "null"})
		}
		return out
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.value(t.Elem(), freshOf(t.Elem()), c)
	case reflect.Slice:
		list := map[string]any{"type": "array", "items": s.value(t.Elem(), freshOf(t.Elem()), c)}
		if c.empty != "" {
			list["minItems"] = 1
		}
		return list
	case reflect.Map:
		return s.dictionary(t, c)
	}
	ref := s.reference(fresh)
	if t == targetType {
		url, _ := findColumn(columns(t), "url")
		return map[string]any{"anyOf": []any{single(urlType, url, &urlScalar), ref}}
	}
	return ref
}

// reference returns a reference to the definition of a struct, and creates the definition if
// necessary.
func (s schemer) reference(fresh reflect.Value) map[string]any {
	t := fresh.Type()
	if s.defs[t.Name()] == nil {
		s.defs[t.Name()] = s.object(fresh, columns(t))
	}
	return map[string]any{"$ref": "#/$defs/" + t.Name()}
}

// dictionary returns the schema of a map whose keys the user chooses.
func (s schemer) dictionary(t reflect.Type, c column) map[string]any {
	names := map[string]any{"pattern": "^[0-9]{3}$"}
	if key := textKinds[c.keyAs]; key != nil {
		names = map[string]any{"pattern": key.schema["pattern"]}
	}
	return map[string]any{
		"type": "object", "propertyNames": names, "additionalProperties": s.value(t.Elem(), freshOf(t.Elem()), column{as: c.as}),
	}
}

// single returns the schema of a single value or of a reference in its place.
func single(t reflect.Type, c column, kind *scalar) map[string]any {
	out := maps.Clone(kind.schema)
	number := kind == &intScalar || kind == &numberScalar
	switch {
	case c.only != "":
		out = map[string]any{"const": c.only == "true"}
	case c.enum != nil && number:
		out = map[string]any{"enum": numbers(c.enum)}
	case c.enum != nil:
		out = map[string]any{"enum": c.enum}
	case number:
		bounds(out, c)
	}
	if _, typed := out["type"].([]string); typed {
		return out // any text is allowed, so a reference is too
	}
	return map[string]any{"anyOf": []any{out, map[string]any{"$ref": "#/$defs/reference"}}}
}

// numbers converts the words of an enum of numbers.
func numbers(words []string) []int {
	out := make([]int, len(words))
	for i, w := range words {
		out[i], _ = strconv.Atoi(w)
	}
	return out
}

// bounds adds the bounds of a number.
func bounds(out map[string]any, c column) {
	if c.min != "" {
		out["minimum"] = json.Number(c.min)
	}
	if c.max != "" {
		out["maximum"] = json.Number(c.max)
	}
}

// defaultOf returns the default of a key as written in the file. It returns nil if the default is
// empty or a map.
func defaultOf(v reflect.Value, c column) any {
	kind := scalarOf(v.Type(), c)
	switch {
	case v.IsZero():
		return nil
	case v.Kind() == reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = defaultOf(v.Index(i), c)
		}
		return list
	case kind == nil:
		return nil
	case kind == &intScalar, kind == &numberScalar:
		return json.Number(printScalar(v, kind).Value)
	case kind == &boolScalar:
		return v.Bool()
	}
	return printScalar(v, kind).Value
}
