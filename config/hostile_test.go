package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

const (
	someUpstream = "upstreams: {web: {targets: [\"http://127.0.0.1:7003\"]}}\n"
	someRoute    = "routes: [{name: all, match: {path: /*}, upstream: web}]\n"
)

// bomb returns a list of ten lists of ten lists … of anchors: ten to the power of n values in a few
// lines.
func bomb(n int) string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	return b.String()
}

// TestHostileYAML checks that hostile input gives an error with its position, or is accepted with
// its literal meaning, without a panic and without delay.
func TestHostileYAML(t *testing.T) {
	tests := []struct {
		name  string
		src   string
		place string // line:column of the first error; "": accepted
		want  string // part of one message
	}{
		{"alias bomb", bomb(9) + someUpstream + someRoute, "1:1", "aliases of this file expand to more than"},
		{"alias bomb in a route", "x: &x [1]\n" + someUpstream + "routes: [{name: a, match: {path: /a, methods: [*x, *x]}, upstream: web}]\n", "1:1", "unknown key"},
		{"depth by flow", "a: " + strings.Repeat("[", 100_000), "1:68", "depth"},
		{"depth by blocks", deepBlocks(2000), "65:", "depth"},
		{"depth by maps", strings.Repeat("{a: ", 5000), "1:", "depth"},
		{"100 MB", strings.Repeat("a: b # padding padding padding padding\n", 100<<20/39), "1:1", "at most"},
		{"one line of 4 MB", "a: " + strings.Repeat("x", maxSource-10), "1:1", "unknown key"},
		{"duplicate keys", "a: 1\na: 2\n" + someUpstream + someRoute, "1:1", "unknown key"},
		{"merge of a merge", "upstreams: {web: &w {targets: [\"http://x\"]}, b: &b {<<: *w, balance: p2c}, c: {<<: [*b], protocol: h1}}\n" + someRoute, "", ""},
		{"merge cycle", "upstreams: {web: &w {<<: *w, targets: [\"http://x\"]}}\n" + someRoute, "1:26", "contains itself"},
		{"merge overridden", "upstreams: {a: &a {targets: [\"http://x\"], balance: zzz}, web: {<<: *a, balance: p2c}}\n" + someRoute, "1:52", "zzz"},
		{"tabs", "server:\n\tlisten: []\n", "2:1", "spaces, not tabs"},
		{"BOM", "\ufeff" + someUpstream + someRoute, "", ""},
		{"BOM, then an error", "\ufeffx: 1\n" + someUpstream + someRoute, "1:1", "unknown key"},
		{"UTF-16", "\xff\xfea\x00:\x00 \x001\x00", "1:1", "not UTF-8"},
		{"Latin-1", someUpstream + "routes: [{name: \"b\xfccher\"}]\n", "2:19", "byte 0xfc is not UTF-8"},
		{"UTF-8 cut off", someUpstream + "# \xe2\x82", "2:3", "not UTF-8"},
		{"surrogate as UTF-8", "a: \xed\xa0\x80", "1:4", "not UTF-8"},
		{"NUL", "a: b\x00c\n", "1:5", "control character 0x00"},
		{"escape", someUpstream + "# ü\x1b[2J\n", "2:4", "control character 0x1b"},
		{"CRLF", strings.ReplaceAll(someUpstream+someRoute, "\n", "\r\n"), "", ""},
		{"CRLF, then an error", someUpstream + "\r\n\r\nx: 1\r\n" + someRoute, "4:1", "unknown key"},
		{"empty", "", "1:1", "the file is empty"},
		{"comments alone", "# nothing\n", "1:1", "the file is empty"},
		{"null alone", "~\n", "1:1", "a configuration must be a map"},
		{"end marker", someUpstream + someRoute + "...\n", "", ""},
		{"directive", "%YAML 1.1\n---\n" + someUpstream + someRoute, "", ""},
		{"directive of a version not read", "%YAML 1.2\n---\n" + someUpstream + someRoute, "1:1", "incompatible"},
		{"other directive", "%FOO\n---\n" + someUpstream + someRoute, "1:5", "not YAML"},
		{"YAML 1.1 octal", someUpstream + "routes: [{name: all, match: {path: /*}, upstream: web, cache: {enabled: true, vary: {max_variants: 0o17}}}]\n", "2:100", "not a whole number"},
		{"binary tag", "version: !!binary MQ==\n" + someUpstream + someRoute, "1:10", "tag"},
		{"custom tag on a map", "server: !Server {}\n" + someUpstream + someRoute, "1:9", "tag"},
		{"alias as a key", "a: &a x\n*a : 1\n" + someUpstream + someRoute, "1:1", "unknown key"},
		{"key of 1 MB", strings.Repeat("k", 1000) + ": 1\n" + someUpstream + someRoute, "1:1", "unknown key"},
		{"numbers beyond all bounds", "server: {limits: {connections: 1e99, query_params: " + strings.Repeat("9", 5000) + "}}\n" + someUpstream + someRoute, "1:32", "not a whole number"},
		{"float words", someUpstream + "routes: [{name: all, match: {path: /*}, upstream: web, cache: {enabled: true, early_refresh: .inf}}]\n", "2:94", "not a number"},
		{"two thousand mistakes", someUpstream + someRoute + manyMistakes(2000), "3:1", "unknown key"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			began := time.Now()
			c, err := Parse("f.yaml", []byte(tt.src), nil, nil)
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("took %v", took)
			}
			if tt.place == "" {
				if err != nil || c == nil {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			var errs Errors
			if !errors.As(err, &errs) {
				t.Fatalf("accepted, or no Errors: %v", err)
			}
			if first := errs[0].Error(); !strings.HasPrefix(first, "f.yaml:"+tt.place) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("first of %d: %.300s\nwant %s … %s", len(errs), first, tt.place, tt.want)
			}
			if len(errs) > maxErrors {
				t.Errorf("%d errors", len(errs))
			}
			if n := len(err.Error()); n > 1<<20 {
				t.Errorf("%d bytes of messages", n)
			}
		})
	}
}

func deepBlocks(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func manyMistakes(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "mistake%d: 1\n", i)
	}
	return b.String()
}
