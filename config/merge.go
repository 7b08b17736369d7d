package config

import "strings"

// overlay lays a route's own map over `defaults`: the route's value wins, maps are merged key by key. Every value keeps the
// place where it was written. Keys are compared without case, for field names in headers.set are.
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
