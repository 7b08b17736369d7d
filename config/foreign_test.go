package config

import (
	"strings"
	"testing"
)

// TestCommonMistakes parses what users of other gateways, or users with little knowledge of YAML,
// may write. Each message must say what to write instead.
func TestCommonMistakes(t *testing.T) {
	const up = "upstreams: {web: {targets: [\"http://x\"]}}\n"
	route := func(keys string) string { return up + "routes:\n  - name: a\n    match: {path: /a}\n" + keys }
	for _, tt := range []struct{ src, want string }{
		{up + "routes:\n  - name: a\n    match:\n      host: *.example.com\n", `f:5:13: a value that begins with * must be quoted (write "*.example.com"`},
		{up + "routes: [{name: a, match: {host: *.example.com, path: /}}]\n", `must be quoted (write "*.example.com"`},
		{route("    upstream: web\n   cache: {enabled: true}\n"), "the indentation of this line or the one before it is off"},
		{route("    upstream: web\n      cache: {enabled: true}\n"), "the indentation of this line or the one before it is off"},
		{route("    upstream: web\n    cache: true\n"), "expected a map, found a single value (write {enabled: true})"},
		{route("    upstream: web\n    compress: gzip\n"), "expected a map, found a single value (its keys: enabled, encodings"},
		{up + "routes: [{name: a, match: /a, upstream: web}]\n", "(write {path: /a})"},
		{"upstreams: {web: \"http://x\"}\n" + someRoute, `(write {targets: ["http://x"]})`},
		{"upstreams: {web: {targets: \"http://x\"}}\n" + someRoute, "expected a list, found a single value (write [http://x])"},
		{"server: {listen: [\":80\"]}\n" + someUpstream + someRoute, `(write {address: ":80"})`},
		{route("    proxy_pass: web\n"), "proxy_pass: unknown key (write upstream: NAME)"},
		{route("    backend: web\n"), "write upstream: NAME"},
		{route("    upstream: web\n    host: a.example\n"), "write match: {host: …}"},
		{route("    upstream: web\n    ttl: 60s\n"), "write cache: {enabled: true, ttl: {default: …}}"},
		{route("    upstream: web\n    cache: {enabled: true, max-age: 60s}\n"), "write ttl: {default: …}"},
		{"upstreams: {web: {servers: [\"http://x\"]}}\n" + someRoute, "servers: unknown key (write targets: [URL])"},
		{"listen: \":80\"\n" + someUpstream + someRoute, "write server: {listen: "},
		{"backends: {}\n" + someUpstream + someRoute, "backends: unknown key (write upstreams)"},
		{"server: {listen: [{port: 80}]}\n" + someUpstream + someRoute, "write address: \":8080\""},
	} {
		_, err := Parse("f", []byte(tt.src), nil, nil)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s\ngot  %v\nwant %s", tt.src, err, tt.want)
		}
	}
}
