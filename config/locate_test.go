package config

import (
	"strings"
	"testing"
)

// TestLocate checks the positions of mistakes that were found after parsing.
func TestLocate(t *testing.T) {
	const src = "version: 1\nserver:\n  listen:\n    - address: :443\n      tls: {certificates: [{cert: /c, key: /k}]}\n" +
		"upstreams:\n  web: {targets: [\"https://x\"], tls: {ca: /ca}}\n  web.two: {targets: [\"https://y\"], tls: {ca: /ca}}\nroutes: []\n"
	for _, tt := range []struct{ message, want, rest string }{
		{"server.listen[0].tls.certificates[0].cert: open /c: no such file", "f:5:35: server.listen[0].tls.certificates[0].cert: open /c: no such file", ""},
		{"server.listen[0].tls: x", "f:5:12: server.listen[0].tls: x", ""},
		{"upstreams.web.tls.ca: gone\nserver.listen[0]: odd", "f:4:7: server.listen[0]: odd\nf:7:43: upstreams.web.tls.ca: gone", ""},
		{"upstreams.web.two.tls.ca: gone", "f:8:47: upstreams.web.two.tls.ca: gone", ""},
		{"server.listen[1]: x", "", "server.listen[1]: x"},
		{"listen tcp: in use", "", "listen tcp: in use"},
		{"", "", ""},
	} {
		placed, rest := Locate("f", []byte(src), nil, nil, tt.message)
		if got, left := placed.Error(), strings.Join(rest, "\n"); got != tt.want || left != tt.rest {
			t.Errorf("%q\ngot  %q and %q\nwant %q and %q", tt.message, got, left, tt.want, tt.rest)
		}
	}
}
