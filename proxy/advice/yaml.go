package advice

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Setting is a key of the configuration and its value. Path is, for example, cache.ttl.default.
type Setting struct{ Path, Value string }

// YAML nests settings as in a configuration file.
func YAML(settings ...Setting) string {
	root := &branch{}
	for _, s := range settings {
		root.set(strings.Split(s.Path, "."), s.Value)
	}
	var b strings.Builder
	root.print(&b, "")
	return b.String()
}

// branch is a YAML map. Its keys keep their order of insertion.
type branch struct {
	keys   []string
	values []*branch
	leaf   string
}

func (b *branch) set(path []string, value string) {
	if len(path) == 0 {
		b.leaf = value
		return
	}
	i := slices.Index(b.keys, path[0])
	if i < 0 {
		i = len(b.keys)
		b.keys, b.values = append(b.keys, path[0]), append(b.values, &branch{})
	}
	b.values[i].set(path[1:], value)
}

func (b *branch) print(w *strings.Builder, indent string) {
	for i, key := range b.keys {
		v := b.values[i]
		if len(v.keys) == 0 {
			fmt.Fprintf(w, "%s%s: %s\n", indent, key, v.leaf)
			continue
		}
		fmt.Fprintf(w, "%s%s:\n", indent, key)
		v.print(w, indent+"  ")
	}
}

// Duration formats d as in a configuration: 1m, not 1m0s.
func Duration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
