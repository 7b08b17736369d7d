package build

import (
	"strings"

	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/config"
)

// compileCompress returns the policy and the Accept-Encoding for the origin. That field lists the
// route's codings for every client: an origin that compresses well saves transfer, and all requests
// look alike to it.
func compileCompress(r *config.Route) (*compress.Policy, string) {
	p := &compress.Policy{MinSize: r.Compress.MinSize, Types: r.Compress.Types}
	var names []string
	for _, e := range r.Compress.Encodings {
		p.Encodings = append(p.Encodings, compress.ParseCoding(string(e)))
		names = append(names, string(e))
	}
	p.Level[compress.Gzip], p.Level[compress.Brotli], p.Level[compress.Zstd] = r.Compress.Level.Gzip, r.Compress.Level.Br, r.Compress.Level.Zstd
	return p, strings.Join(names, ", ")
}
