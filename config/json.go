package config

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/penstock/penstock/proxy/rawjson"
)

var jsonType = reflect.TypeFor[JSON]()

// ordered is a value in a map whose order counts: the file's.
type ordered interface{ order() *int }

// json decodes a value of any shape as JSON text.
func (d *decoder) json(n *node, v reflect.Value) bool {
	text, ok := jsonOf(n)
	v.SetString(text)
	return ok
}

// jsonOf writes a node as JSON. A plain scalar that JSON reads as something else than text is that.
func jsonOf(n *node) (string, bool) {
	switch n.kind {
	case kindNull:
		return "null", true
	case kindList:
		var items []string
		for _, item := range n.items {
			text, ok := jsonOf(item)
			if !ok {
				return "", false
			}
			items = append(items, text)
		}
		return "[" + strings.Join(items, ",") + "]", true
	case kindMap:
		var members []string
		for _, f := range n.fields {
			text, ok := jsonOf(f.value)
			if !ok {
				return "", false
			}
			members = append(members, quoteJSON(f.key.text)+":"+text)
		}
		return "{" + strings.Join(members, ",") + "}", true
	case kindBroken:
		return "", false
	}
	if n.plain && !strings.HasPrefix(n.text, `"`) && rawjson.Check([]byte(n.text), 0) == nil {
		return n.text, true
	}
	return quoteJSON(n.text), true
}

// quoteJSON writes text as a JSON string.
func quoteJSON(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range strings.ToValidUTF8(s, "\ufffd") {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			b.WriteString(`\u00` + strconv.FormatInt(int64(r)+0x100, 16)[1:])
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// printJSON writes JSON text as YAML, in flow style.
func printJSON(text string) *yaml.Node {
	b := []byte(text)
	switch {
	case rawjson.IsObject(b):
		n := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
		for name, value := range rawjson.Members(b) {
			n.Content = append(n.Content, printText(rawjson.Text(name)), printJSON(string(value)))
		}
		return n
	case rawjson.IsArray(b):
		n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for value := range rawjson.Elements(b) {
			n.Content = append(n.Content, printJSON(string(value)))
		}
		return n
	case strings.HasPrefix(text, `"`):
		n := printText(strings.ReplaceAll(rawjson.Text(b), "$", "$$"))
		n.Style = yaml.DoubleQuotedStyle
		return n
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Value: text}
}

// sortOrdered puts the keys of a map whose order counts into that order.
func sortOrdered(v reflect.Value, keys []reflect.Value) {
	place := func(key reflect.Value) int {
		if o, ok := v.MapIndex(key).Interface().(ordered); ok {
			return *o.order()
		}
		return 0
	}
	slices.SortStableFunc(keys, func(a, b reflect.Value) int { return place(a) - place(b) })
}
