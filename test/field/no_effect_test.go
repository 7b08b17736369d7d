package field

import (
	"strings"
	"testing"
)

// TestCheckWarnsOfWhatDoesNothing runs the program on settings that are understood and have no effect: it says so, and exits with 0.
func TestCheckWarnsOfWhatDoesNothing(t *testing.T) {
	out, code := check(t, `upstreams: {web: {targets: ["http://127.0.0.1:443"]}, unused: {targets: ["http://127.0.0.1:1"]}}
routes:
  - {name: a, match: {path: "/users/:id"}, upstream: web, headers: {request: {remove: [Via]}}}
`)
	for _, want := range []string{
		"gateway.yaml:1:63: upstreams.unused: warning: no route uses this upstream", "warning: port 443 is for https", `warning: ":id" matches only itself`,
		"warning: the gateway writes Via itself", "ok, 1 routes to 2 upstreams",
	} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("exit code %d, no %q in\n%s", code, want, out)
		}
	}
}

// TestCheckRefusesWhatCanNotBe writes values that can't be right, and patterns where none are taken.
func TestCheckRefusesWhatCanNotBe(t *testing.T) {
	const up = "upstreams: {web: {targets: [\"http://127.0.0.1:1\"]}}\n"
	route := func(keys string) string {
		return up + "routes: [{name: a, match: {path: /a}, upstream: web, " + keys + "}]\n"
	}
	for _, tt := range []struct{ yaml, says string }{
		{"server: {listen: [{address: \"22:22\"}]}\n" + route("upgrade: off"), "an IPv4 address has four numbers"},
		{"admin: {address: \"9901:9901\"}\n" + route("upgrade: off"), "an IPv4 address has four numbers"},
		{"upstreams: {web: {targets: [\"http://10.0.0\"]}}\nroutes: [{name: a, match: {path: /a}, upstream: web}]\n", "an IPv4 address has four numbers"},
		{route(`headers: {request: {remove: ["X-*"]}}`), "* is not a wildcard in a field name"},
		{route(`cache: {enabled: true, key: {headers: ["*"]}}`), "* is not a wildcard in a field name"},
		{route(`cache: {enabled: true, key: {cookies: ["s*"]}}`), "* is not a wildcard in a cookie's name"},
		{route(`cache: {enabled: true, key: {headers: [Host]}}`), "the host is in every key"},
		{route(`cache: {enabled: true, key: {query: {include: ["a=1"]}}}`), "is not the name of a parameter"},
		{route(`errors: [{status: [404], serve: "/{status}.html"}]`), "it must be fixed text without placeholders"},
		{route(`cache_control: [{set: "public, x={id}"}]`), "a Cache-Control value has no placeholders"},
		{up + "routes: [{name: a, match: {path: /a, methods: [ANY]}, upstream: web}]\n", "leave `methods` out to match all of them"},
		{"telemetry: {access_log: {output: STDOUT}}\n" + route("upgrade: off"), `write "stdout"`},
	} {
		if out, code := check(t, tt.yaml); code != 2 || !strings.Contains(out, tt.says) {
			t.Errorf("%s\nexit code %d: %s", tt.yaml, code, out)
		}
	}
}
