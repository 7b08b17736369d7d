package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzParse checks that any input is either a configuration that survives Print and Parse, or has
// mistakes with positions.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*.yaml", "testdata/bad/*.yaml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range paths {
			src, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(src)
		}
	}
	for _, seed := range []string{
		"", "\ufeff", "a: &a [*a]", "<<: *x", "? {}\n: []", "%YAML 1.1\n---\n", "a: !!binary x", bomb(3), deepBlocks(70), "- - - -", "{[", "a: |\n x\n  y", "\"\\u0000\": 1", "a: 'b''c'",
		someUpstream + someRoute, someUpstream + "defaults: {<<: {upstream: web}}\nroutes: [{name: a, match: &m {path: /a}}, {name: b, match: {<<: *m, path: /b}}]",
		"admin: {token: \"${file:/run/secrets/token}\"}", "admin: {token: \"$${${TOKEN}$$}\"}", "x: ~\ny:\n- \n-", "a: \"\\ud800\"", "routes: [~, {}, [], x]", "upstreams: {a: ~, b: [], c: x, d: {targets: [~, {}, []]}}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		c, err := Parse("fuzz.yaml", src, environment, secrets)
		if err == nil {
			checkPrint(t, c)
			return
		}
		var errs Errors
		if c != nil || !errors.As(err, &errs) || len(errs) == 0 || len(errs) > maxErrors {
			t.Fatalf("%v, %v", c, err)
		}
		lines := strings.Count(string(src), "\n") + strings.Count(string(src), "\r") + strings.Count(string(src), "\u0085") +
			strings.Count(string(src), "\u2028") + strings.Count(string(src), "\u2029") + 2
		for i, e := range errs {
			if e.Line < 1 || e.Line > lines || e.Column < 1 || e.Message == "" || strings.ContainsAny(e.Error(), "\r\n\x00") {
				t.Fatalf("%q of %d lines", e.Error(), lines)
			}
			if i > 0 && e.Line < errs[i-1].Line {
				t.Fatalf("not in order:\n%v", err)
			}
		}
	})
}
