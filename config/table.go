package config

import (
	"reflect"
	"slices"
	"strings"
)

// column holds the tags of a struct's field. The decoder, the printer and the schema share it.
type column struct {
	index    int    // of the field in its struct
	field    string // its Go name, to find its comment
	key      string
	as       string   // how the value is written, see textKinds; for a number "size" or "share"
	keyAs    string   // how the keys of a map are written
	enum     []string // allowed values; nil: any
	later    []string // values that a later version will support
	only     string   // the single supported value; "": any
	min, max string   // bounds in the notation of the value; "": no bound
	required bool
	empty    string // for a list: what to write instead of an empty one; "": an empty list is allowed
	always   bool   // printed even if it is zero, because omitting it means something else
}

// columns returns the keys of a struct, in the order of its fields.
func columns(t reflect.Type) []column {
	var out []column
	for i := range t.NumField() {
		f := t.Field(i)
		key, ok := f.Tag.Lookup("key")
		if !ok {
			continue
		}
		out = append(out, column{
			index: i, field: f.Name, key: key, as: f.Tag.Get("as"), keyAs: f.Tag.Get("keyas"),
			enum: words(f.Tag.Get("enum")), later: words(f.Tag.Get("later")), only: f.Tag.Get("only"),
			min: f.Tag.Get("min"), max: f.Tag.Get("max"), empty: f.Tag.Get("empty"),
			required: f.Tag.Get("required") != "", always: f.Tag.Get("print") == "always",
		})
	}
	return out
}

// words splits a tag's list.
func words(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "|")
}

// findColumn returns the column of a key.
func findColumn(cs []column, key string) (column, bool) {
	i := slices.IndexFunc(cs, func(c column) bool { return c.key == key })
	if i < 0 {
		return column{}, false
	}
	return cs[i], true
}

// keys returns the keys of the columns.
func keys(cs []column) []string {
	out := make([]string, len(cs))
	for i, c := range cs {
		out[i] = c.key
	}
	return out
}

// knownKeys returns the keys that a map of type t may have.
func knownKeys(t reflect.Type, cs []column) []string {
	if t == reflect.TypeFor[Config]() {
		return append(keys(cs), defaultsKey)
	}
	return keys(cs)
}

// defaultsKey is the only key without a field in Config. Its content is merged into the routes.
const defaultsKey = "defaults"

// laterKeys lists the planned keys that this version does not support, by struct. With the list,
// messages call them unsupported rather than misspelt.
var laterKeys = map[reflect.Type][]string{
	reflect.TypeFor[ListenerTLS](): {"acme", "client_ca"},
	reflect.TypeFor[Upstream]():    {"retry", "hedge", "breaker", "health"},
	reflect.TypeFor[Route](): {
		"concurrency",
	},
}

// unsupported returns the problem of a planned key or value.
func unsupported() *problem {
	return problemf("not supported by this version")
}
