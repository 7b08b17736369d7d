package entry

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
)

// What cachepolicy takes for decodable is what this package decodes, and both read Accept-Encoding
// alike.
func TestPolicyAndCodecsAgree(t *testing.T) {
	res := &Policy{Rules: new(cachepolicy.Rules)}
	accepts := []string{"", "gzip", "br;q=0", "*", "*;q=0", "x-gzip", "gzip;q=0.5, *;q=0", "zstd;q=x", "br, br;q=0", "identity;q=0, *"}
	for _, coding := range []string{"identity", "gzip", "x-gzip", "br", "zstd", "deflate", "gzip, br", "BR"} {
		for _, control := range []string{"", "no-transform", `a="no-transform"`, "max-age=1, No-Transform=1", "public,no-transform"} {
			for _, status := range []int{200, 206, 404} {
				h := http.Header{"Content-Encoding": {coding}, "Cache-Control": {control}}
				applied := compress.HeaderCoding(h)
				fixed := cachepolicy.FixedCoding(status, h) != ""
				if derivable := res.Derivable(status, h, 10, applied).Has(compress.Identity); applied != compress.Identity && fixed == derivable {
					t.Errorf("%s, %q, %d: fixed is %v, and decodable is %v", coding, control, status, fixed, derivable)
				}
				for _, accept := range accepts {
					q := &cachepolicy.Request{Header: http.Header{"Accept-Encoding": {accept}}}
					if !fixed || applied == compress.Unknown {
						continue
					}
					if got, want := cachepolicy.CanDecode(q, status, h), compress.Accepts([]string{accept}, applied); got != want {
						t.Error(fmt.Sprintf("Accept-Encoding %q, %s:", accept, coding), got, want)
					}
				}
			}
		}
	}
}
