package config

import (
	"reflect"
	"slices"
	"strings"
)

// column is what the tags of a struct's field say: one row of the table that decoder, printer and schema share.
type column struct {
	index    int    // of the field in its struct
	field    string // its Go name, to find its comment
	key      string
	as       string   // how the value is written, see textKinds; of a number "size" or "share"
	keyAs    string   // how the keys of a map are written
	enum     []string // values allowed; nil: any
	later    []string // values that a later version brings
	only     string   // the one value supported; "": any
	min, max string   // bounds in the notation of the value; "": none
	required bool
	always   bool // printed even when it is zero, because leaving it out means something else
}

// columns are the keys of a struct, in the order of its fields.
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
			min: f.Tag.Get("min"), max: f.Tag.Get("max"),
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

// findColumn returns the column with a key.
func findColumn(cs []column, key string) (column, bool) {
	i := slices.IndexFunc(cs, func(c column) bool { return c.key == key })
	if i < 0 {
		return column{}, false
	}
	return cs[i], true
}

// keys lists the keys of columns.
func keys(cs []column) []string {
	out := make([]string, len(cs))
	for i, c := range cs {
		out[i] = c.key
	}
	return out
}

// knownKeys lists the keys that a map of type t may have.
func knownKeys(t reflect.Type, cs []column) []string {
	if t == reflect.TypeFor[Config]() {
		return append(keys(cs), defaultsKey)
	}
	return keys(cs)
}

// defaultsKey is the one key without a field in Config: what it holds is merged into the routes.
const defaultsKey = "defaults"

// laterKeys are the keys of the contract that this version does not support, by the struct they belong to. They are known
// so that they are refused as what they are, and not taken for misspelt ones.
var laterKeys = map[reflect.Type][]string{
	reflect.TypeFor[ListenerTLS](): {"acme", "client_ca"},
	reflect.TypeFor[Upstream]():    {"retry", "hedge", "breaker", "health"},
	reflect.TypeFor[Route](): {
		"rate_limit", "auth", "cors", "allow", "concurrency",
	},
}

// unsupported is the problem of a part of the contract that this version does not have.
func unsupported() *problem {
	return problemf("not supported by this version")
}
