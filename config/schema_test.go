package config

import (
	"bytes"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

// compileSchema compiles the output of Schema.
func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("penstock.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("penstock.json")
	if err != nil {
		t.Fatalf("the schema is not one: %v\n%s", err, text)
	}
	return s
}

// document reads YAML in the form of JSON, with strings as the keys of all maps.
func document(t *testing.T, src []byte) any {
	t.Helper()
	var v any
	if err := yaml.Load(src, &v); err != nil {
		t.Fatal(err)
	}
	return textKeys(v)
}

func textKeys(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = textKeys(e)
		}
	case map[any]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			text, err := yaml.Dump(k)
			if err != nil {
				panic(err)
			}
			out[strings.TrimSpace(string(text))] = textKeys(e)
		}
		return out
	case []any:
		for i, e := range v {
			v[i] = textKeys(e)
		}
	}
	return v
}

func TestSchemaAcceptsGood(t *testing.T) {
	s := compileSchema(t)
	for _, path := range append(glob(t, "testdata/good/*.yaml"), "../gateway.yaml") {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(document(t, src)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestSchemaAcceptsPrinted checks the output of Print against the schema, because editors must not
// mark it as wrong.
func TestSchemaAcceptsPrinted(t *testing.T) {
	s := compileSchema(t)
	c, err := parseFile(t, "testdata/good/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text, err := Print(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(document(t, text)); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
}

// TestSchemaRefuses lists the bad files whose mistakes a schema can detect.
func TestSchemaRefuses(t *testing.T) {
	s := compileSchema(t)
	for _, name := range []string{
		"unknown-keys", "wrong-types", "missing-values", "unsupported", "durations", "sizes", "shares", "booleans", "numbers", "enums", "many",
		"no-routes", "root-list", "version", "defaults", "defaults-alone",
	} {
		src, err := os.ReadFile("testdata/bad/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		if s.Validate(document(t, src)) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestTableDescribed requires a comment for every key, and for every word of a closed vocabulary.
func TestTableDescribed(t *testing.T) {
	texts, err := readComments()
	if err != nil {
		t.Fatal(err)
	}
	eachColumn(reflect.TypeFor[Config](), map[reflect.Type]bool{}, func(owner, value reflect.Type, c column) {
		if !strings.HasPrefix(texts.field(owner.Name(), c), "`"+c.key+"` ") && !strings.HasPrefix(texts.fields[owner.Name()+"."+c.field], c.field) {
			t.Errorf("%s.%s has no comment of its own", owner.Name(), c.field)
		}
		if value.Kind() != reflect.String || c.enum == nil || value.Name() == "Tier" {
			return
		}
		for _, w := range c.enum {
			if texts.words[value.Name()][w] == "" {
				t.Errorf("%s: %q has no comment", value.Name(), w)
			}
		}
	})
}

// TestTableTags requires that each tag is known, since a misspelt one would be ignored.
func TestTableTags(t *testing.T) {
	known := []string{"key", "as", "keyas", "enum", "later", "only", "min", "max", "required", "print", "empty"}
	eachColumn(reflect.TypeFor[Config](), map[reflect.Type]bool{}, func(owner, value reflect.Type, c column) {
		f := owner.Field(c.index)
		for part := range strings.FieldsSeq(string(f.Tag)) {
			if name, _, ok := strings.Cut(part, ":"); ok && !slices.Contains(known, name) {
				t.Errorf("%s.%s: unknown tag %s", owner.Name(), c.field, name)
			}
		}
		if c.as != "" && c.as != "size" && c.as != "share" && textKinds[c.as] == nil || c.keyAs != "" && textKinds[c.keyAs] == nil {
			t.Errorf("%s.%s: unknown kind %q or %q", owner.Name(), c.field, c.as, c.keyAs)
		}
		if (value.Kind() == reflect.Int64 && value != durationType && value != moneyType) != (c.as == "size") {
			t.Errorf("%s.%s: int64 is for sizes", owner.Name(), c.field)
		}
		for _, bound := range []string{c.min, c.max} {
			s := scalarOf(value, c)
			if f.Type.Kind() == reflect.Map {
				s = scalarOf(f.Type.Key(), c) // of a map, the bounds are its keys'
			}
			if bound != "" && (s == nil || c.limit(s, bound) == nil) {
				t.Errorf("%s.%s: bound %q can't be read", owner.Name(), c.field, bound)
			}
		}
	})
}

// eachColumn visits all columns, with the type of each single value.
func eachColumn(t reflect.Type, seen map[reflect.Type]bool, visit func(owner, value reflect.Type, c column)) {
	if seen[t] {
		return
	}
	seen[t] = true
	for _, c := range columns(t) {
		f := t.Field(c.index).Type
		for f != urlType && scalarOf(f, c) == nil && (f.Kind() == reflect.Pointer || f.Kind() == reflect.Slice || f.Kind() == reflect.Map) {
			f = f.Elem()
		}
		visit(t, f, c)
		if f.Kind() == reflect.Struct && scalarOf(f, c) == nil {
			eachColumn(f, seen, visit)
		}
	}
}

// TestSchemaDefaults compares the schema's defaults with the defaults that Parse fills in.
func TestSchemaDefaults(t *testing.T) {
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"default": "32KiB"`, `"default": "127.0.0.1:9901"`, `"default": "256MiB"`, `"default": "p2c"`, `"default": 512`,
		`"default": "1m30s"`, `"default": "absent"`, `"default": "rfc"`, `"default": 10000`, `"default": 32`, `"default": 1`, `"default": "USD"`, `"80%",`,
	} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("the schema has no %s", want)
		}
	}
	if bytes.Contains(text, []byte("concurrency")) {
		t.Error("the schema has keys that are not supported")
	}
}
