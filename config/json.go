package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"
)

// JSON is any value as JSON. "" means that there is no value.
type JSON string

var jsonType = reflect.TypeFor[JSON]()

// json decodes any value.
func (d *decoder) json(n *node, v reflect.Value) bool {
	var b strings.Builder
	ok := d.writeJSON(&b, n)
	if ok {
		v.SetString(b.String())
	}
	return ok
}

var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

func (d *decoder) writeJSON(b *strings.Builder, n *node) bool {
	switch n.kind {
	case kindNull:
		b.WriteString("null")
	case kindScalar:
		switch {
		case n.plain && (n.text == "true" || n.text == "false" || jsonNumber.MatchString(n.text)):
			b.WriteString(n.text)
		default:
			text, _ := json.Marshal(n.text) // a string always encodes without an error
			b.Write(text)
		}
	case kindList:
		b.WriteByte('[')
		for i, item := range n.items {
			if i > 0 {
				b.WriteByte(',')
			}
			if !d.writeJSON(b, item) {
				return false
			}
		}
		b.WriteByte(']')
	case kindMap:
		b.WriteByte('{')
		for i, f := range n.fields {
			if i > 0 {
				b.WriteByte(',')
			}
			name, _ := json.Marshal(f.key.text)
			fmt.Fprintf(b, "%s:", name)
			if !d.writeJSON(b, f.value) {
				return false
			}
		}
		b.WriteByte('}')
	default:
		return false
	}
	return true
}

// printJSON writes a value as YAML, which includes JSON.
func printJSON(v reflect.Value) *yaml.Node {
	var doc yaml.Node
	text := strings.ReplaceAll(v.String(), "$", "$$")
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil || len(doc.Content) != 1 {
		return printText(text)
	}
	return doc.Content[0]
}
