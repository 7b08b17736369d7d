package config

import "strings"

// overlay merges a route's own map with `defaults`: the route's value wins, and maps are merged key
// by key. Every value keeps its position in the file. The comparison of keys ignores case, because
// field names in headers.set do.
func overlay(own, base *node) *node {
	if base == nil || base.kind != kindMap || own.kind != kindMap {
		return own
	}
	merged := *own
	merged.fields = make([]field, 0, len(own.fields)+len(base.fields))
	index := make(map[string]*node, len(base.fields))
	for _, f := range base.fields {
		index[strings.ToLower(f.key.text)] = f.value
	}
	written := make(map[string]bool, len(own.fields))
	for _, f := range own.fields {
		key := strings.ToLower(f.key.text)
		written[key] = true
		if b := index[key]; b != nil {
			f.value = overlay(f.value, b)
		}
		merged.fields = append(merged.fields, f)
	}
	for _, f := range base.fields {
		if !written[strings.ToLower(f.key.text)] {
			merged.fields = append(merged.fields, f)
		}
	}
	return &merged
}
