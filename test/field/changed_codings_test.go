package field

import (
	"os"
	"strings"
	"testing"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/test/gatewaytest"
)

// Codings that a route gives up are neither made of stored responses nor given, however often they are asked for.
func TestChangedCodingsReachStoredResponses(t *testing.T) {
	const both, one = "compress: {encodings: [zstd, gzip], min_size: 10}", "compress: {encodings: [gzip], min_size: 10}"
	for _, tt := range []struct{ name, after, warm, asked, coding string }{
		{"compress is taken away, the coding is yet to be made", "", "identity", "gzip", ""},
		{"compress is taken away, the coding is made", "", "gzip", "gzip", ""},
		{"compress is taken away, no coding is refused", "", "identity", "gzip, identity;q=0", ""},
		{"a coding is taken away", one, "zstd", "zstd, gzip", "gzip"},
		{"a coding is taken away that is yet to be made", one, "identity", "zstd", ""},
		{"nothing is taken away", both, "identity", "zstd", "zstd"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Repeat("lorem ipsum ", 100)
			origin := gatewaytest.NewOrigin(t, gatewaytest.Text(text, "Cache-Control", "max-age=86400", "Etag", `"1"`))
			yaml := func(rules string) string {
				return "upstreams:\n  origin: {targets: [" + origin.URL + "]}\nroutes:\n  - name: all\n    match: {path: /*}\n    upstream: origin\n    cache: {enabled: true}\n    " + rules + "\n"
			}
			g := gatewaytest.Start(t, yaml(both))
			for range 3 {
				g.Get("/x", "Accept-Encoding", tt.warm)
			}
			cfg, err := config.Parse("gateway.yaml", []byte("version: 1\n"+yaml(tt.after)), os.LookupEnv, os.ReadFile)
			if err != nil {
				t.Fatal(err)
			}
			if err := g.Apply(cfg); err != nil {
				t.Fatal(err)
			}
			for range 70 { // so often that what is hot would be coded again at the best level
				r := g.Get("/x", "Accept-Encoding", tt.asked)
				if got := r.Header.Get("Content-Encoding"); r.Status != 200 || got != tt.coding || got == "" && r.Body != text {
					t.Fatalf("%d %q (%s), want %q", r.Status, got, r.Header["Cache-Status"], tt.coding)
				}
			}
		})
	}
}
