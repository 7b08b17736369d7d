package field

import (
	"os"
	"strings"
	"testing"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/explain"
	"github.com/penstock/penstock/test/gatewaytest"
)

// pageRoute is a route with a rule by extension.
func pageRoute(ext string) string {
	return "cache: {enabled: true}\ncache_control: [{when: {extension: [" + ext + "]}, set: 'public, max-age=300'}]"
}

// TestRulesByExtensionSayWhatTheyMakePublic: check and explain warn of extensions whose media types pages for one user have too.
func TestRulesByExtensionSayWhatTheyMakePublic(t *testing.T) {
	for ext, row := range map[string]struct {
		media string
		warns bool
	}{
		"html": {"text/html", true}, "htm": {"text/html", true}, "xhtml": {"application/xhtml+xml", true}, "json": {"application/json", true}, "xml": {"application/xml", true},
		"txt": {"text/plain", true}, "csv": {"text/csv", true}, "pdf": {"application/pdf", true}, "css": {"text/css", false}, "png": {"image/png", false}, "woff2": {"font/woff2", false},
	} {
		g := gatewaytest.Route(t, "http://127.0.0.1:1", pageRoute(ext))
		e, err := g.Explain(t.Context(), explain.Question{URL: "/account/x." + ext, Response: &explain.Given{Header: []string{"Content-Type: " + row.media}}})
		if err != nil {
			t.Fatal(err)
		}
		warned := false
		for _, ground := range e.Response.Grounds {
			warned = warned || strings.Contains(ground.Says, "paths that hold nothing but files")
		}
		if warned != row.warns {
			t.Errorf("explain, .%s: warned %v, want %v", ext, warned, row.warns)
		}
		_, warnings, err := config.ParseWarn("gateway.yaml", []byte("upstreams: {web: {targets: [\"http://127.0.0.1:1\"]}}\nroutes:\n  - name: all\n    match: {path: /*}\n    upstream: web\n    "+
			strings.ReplaceAll(pageRoute(ext), "\n", "\n    ")+"\n"), os.LookupEnv, os.ReadFile)
		if err != nil {
			t.Fatal(err)
		}
		if warned := strings.Contains(strings.Join(warnings.Lines(), " "), "."+ext+" public"); warned != row.warns {
			t.Errorf("check, .%s: warned %v, want %v", ext, warned, row.warns)
		}
	}
}

// TestShippedRulesMakeNoPagesPublic: no configuration that a new user starts with has such a rule.
func TestShippedRulesMakeNoPagesPublic(t *testing.T) {
	for path, text := range shipped(t, "http://127.0.0.1:1") {
		_, warnings, err := config.ParseWarn("gateway.yaml", []byte("version: 1\n"+text), os.LookupEnv, os.ReadFile)
		if err != nil {
			t.Fatal(err)
		}
		for _, warning := range warnings.Lines() {
			if strings.Contains(warning, "nothing but files") {
				t.Errorf("%s: %s", path, warning)
			}
		}
	}
}
