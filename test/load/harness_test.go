// Package load puts the built gateway under load while it is reloaded and stopped, and looks at what large bodies and slow clients cost.
package load

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/penstock/penstock/test/load/program"
)

const patience = program.Patience

// plainBinary has no race detector, whose memory is not the gateway's.
var gatewayBinary, plainBinary *program.Binary

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "load")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	for name, b := range map[string]**program.Binary{"checked": &gatewayBinary, "plain": &plainBinary} {
		own := dir + "/" + name
		if err = os.Mkdir(own, 0o700); err == nil {
			*b, err = program.Build(own, name == "checked")
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

// gatewayYAML is a configuration with ORIGIN to fill in, and VARIANT, which may be any number.
const gatewayYAML = `version: 1
server:
  listen: [{address: "127.0.0.1:0"}]
  timeouts: {drain: 10s, idle: 6VARIANTs}
admin: {address: "127.0.0.1:0"}
cache: {memory: {size: 32MiB, max_object: 4MiB}}
upstreams:
  origin: {targets: ["http://ORIGIN"], pool: {max: 10VARIANT}, timeouts: {connect: 10s}}
  other: {targets: ["http://ORIGIN"], timeouts: {connect: VARIANTs}}
routes:
  - name: cached
    match: {path: /cached/*}
    upstream: origin
    cache: {enabled: true}
    compress: {encodings: [gzip], level: {gzip: VARIANT}}
  - {name: other, match: {path: "/other/*"}, upstream: other}
  - name: rest
    match: {path: /*}
    upstream: origin
    headers: {response: {set: {X-Variant: "VARIANT"}}}
    upgrade: websocket
`

func configuration(origin string, variant int) string {
	return strings.NewReplacer("ORIGIN", origin, "VARIANT", fmt.Sprint(variant)).Replace(gatewayYAML)
}

// serve starts an origin that ends with the test.
func serve(t *testing.T, h http.Handler) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h}
	ended := make(chan struct{})
	go func() { s.Serve(ln); close(ended) }()
	t.Cleanup(func() { s.Close(); <-ended })
	return ln.Addr().String()
}
