package config

import (
	"strings"
	"testing"
)

// TestWarnings checks settings that are valid but have no effect.
func TestWarnings(t *testing.T) {
	const up = "upstreams: {web: {targets: [\"http://x\"]}}\n"
	route := func(keys string) string {
		return up + "routes: [{name: a, match: {path: /a}, upstream: web, " + keys + "}]\n"
	}
	queued := func(keys string) string {
		return up + "writes: {path: w.db}\nroutes: [{name: a, match: {path: \"/a/{id}\"}, upstream: web, cache: {enabled: true}, writes: {policy: behind, " + keys + "}}]\n"
	}
	for _, tt := range []struct{ src, want string }{
		{"upstreams: {web: {targets: [\"http://x\"]}, old: {targets: [\"http://y\"]}}\n" + someRoute, `f:1:48: upstreams.old: warning: no route uses this upstream`},
		{"upstreams: {web: {targets: [\"http://x:443\"]}}\n" + someRoute, "f:1:29: upstreams.web.targets[0]: warning: port 443 is for https"},
		{"upstreams: {web: {targets: [\"https://x:80\"]}}\n" + someRoute, "port 80 is for http"},
		{"server: {trusted_proxies: [\"0.0.0.0/0\"]}\n" + someUpstream + someRoute, "the gateway trusts every client"},
		{"server: {trusted_proxies: [\"::/0\"]}\n" + someUpstream + someRoute, "the gateway trusts every client"},
		{"telemetry: {traces: {endpoint: \"http://x:4318\"}}\n" + someUpstream + someRoute, "nothing is sent there"},
		{"telemetry: {access_log: {format: common}}\n" + someUpstream + someRoute, "there is no access log"},
		{up + "routes: [{name: a, match: {path: \"/users/:id\"}, upstream: web}]\n", `":id" matches only itself (write {name}`},
		{up + "routes: [{name: a, match: {path: \"/users/([0-9]+)\"}, upstream: web}]\n", "matches only itself"},
		{route("headers: {request: {remove: [Via]}}"), "the gateway writes Via itself"},
		{route("headers: {response: {remove: [Age, Date, Cache-Status]}}"), "the gateway writes Cache-Status itself"},
		{route("headers: {response: {remove: [X-A], set: {X-A: b}}}"), "X-A is set as well"},
		{route(`errors: [{status: [500], body: "Error {status}"}]`), "a body has no placeholders, so clients get the text {status}"},
		{route(`errors: [{status: [500], body: "at $host"}]`), "clients get the text $host"},
		{up + "routes: [{name: a, match: {path: /a, methods: [GET]}, upstream: web, writes: {targets: [/b]}}]\n", "match.methods allows no method that writes"},
		{route(`cors: {origins: ["https://a.example", "null"]}`), `cors.origins[1]: warning: any site can open a sandboxed frame`},
		{queued(`order_by: id`), `this is the text id for each write`},
		{queued("retry_on: [404, 503]"), "408, 425, 429 and 5xx are always retried"},
		{up + "routes: [{name: a, match: {path: /a, methods: [POST]}, upstream: web, cache: {enabled: true}}]\n", "nothing is cached"},
		{route(`cache: {enabled: true, key: {query: {include: ["*", id]}}}`), "the other names have no effect"},
		{route(`cache: {enabled: true, key: {query: {include: [id], exclude: ["*"]}}}`), "* excludes every parameter"},
		{route("cache_control: [{set: no-store}, {when: {status: [200]}, set: public}]"), "rule 0 has no condition, so this rule is never reached"},
		{route(`rate_limit: {rate: 1/s, by: "header:x-user"}`), "a client that sends another X-User with each request is never limited (by: client_ip"},
		{"admin: {token: $TOKEN}\n" + someUpstream + someRoute, `"$TOKEN" is not expanded (write ${TOKEN} for an environment variable)`},
		{"writes: {path: /var/q.db, accept_eviction: true}\n" + someUpstream + someRoute, "writes.path keeps queued writes in a file, which never evicts"},
		{"writes: {path: /var/q.db}\ncache: {redis: {url: \"redis://r\"}}\n" + route("cache: {enabled: true, tiers: [memory, redis]}, writes: {policy: behind}"),
			`f:4:110: routes[0].writes: warning: writes.path keeps queued writes in a file of this instance`},
	} {
		_, warnings, err := ParseWarn("f", []byte(tt.src), nil, nil)
		if got := strings.Join(warnings.Lines(), "\n"); err != nil || !strings.Contains(got, tt.want) {
			t.Errorf("%s\ngot  %s%v\nwant %s", tt.src, got, err, tt.want)
		}
	}
	for _, file := range []string{"testdata/good/minimal.yaml", "../gateway.yaml"} {
		c, err := parseFile(t, file)
		if err != nil || c == nil {
			t.Fatal(file, err)
		}
	}
}

// TestRateKeyThatIsChecked: a limit by a field that only known clients can send, or whose values
// `auth` checks, has no warning.
func TestRateKeyThatIsChecked(t *testing.T) {
	for _, keys := range []string{
		`rate_limit: {rate: 1/s, by: "header:x-user"}, allow: {ips: [10.0.0.0/8]}`,
		`rate_limit: {rate: 1/s, by: "header:x-shop-key"}, auth: {api_keys: {header: X-Shop-Key, file: keys.txt}}`,
		`rate_limit: {rate: 1/s, by: route}`,
	} {
		_, warnings, err := ParseWarn("f", []byte("upstreams: {web: {targets: [\"http://x\"]}}\nroutes: [{name: a, match: {path: /a}, upstream: web, "+keys+"}]\n"), nil, nil)
		if got := strings.Join(warnings.Lines(), "\n"); err != nil || strings.Contains(got, "never limited") {
			t.Errorf("%s: %s%v", keys, got, err)
		}
	}
}
