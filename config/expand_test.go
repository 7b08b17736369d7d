package config

import (
	"reflect"
	"strings"
	"testing"
)

func TestExpand(t *testing.T) {
	x := newExpander(environment, secrets)
	tests := []struct {
		in, want string
		whole    bool
		problem  string
	}{
		{in: "$", want: "$"},
		{in: "a$b", want: "a$b"},
		{in: "$$", want: "$"},
		{in: "$${TOKEN}", want: "${TOKEN}"},
		{in: "$$${NUMBER}", want: "$7"},
		{in: "${NUMBER}", want: "7", whole: true},
		{in: "x${NUMBER}y", want: "x7y"},
		{in: "${NUMBER}${NUMBER}", want: "77"},
		{in: "${EMPTY}", want: "", whole: true},
		{in: "${EMPTY:-d}", want: "d", whole: true},
		{in: "${MISSING:-d}", want: "d", whole: true},
		{in: "${MISSING:-}", want: "", whole: true},
		{in: "${MISSING:-a:-b}", want: "a:-b", whole: true},
		{in: "${MISSING:-http://h:1/$x}", want: "http://h:1/$x", whole: true},
		{in: "${NUMBER:-d}", want: "7", whole: true},
		{in: "${file:/run/secrets/token}", want: "from-a-file", whole: true},
		{in: "${MISSING}", problem: "MISSING is not set"},
		{in: "${", problem: "${ has no closing }"},
		{in: "${A", problem: "${ has no closing }"},
		{in: "${}", problem: "not a reference"},
		{in: "${A-B}", problem: "not a reference"},
		{in: "${9}", problem: "not a reference"},
		{in: "${A:-${B}}", problem: "nested"},
		{in: "${file:}", problem: "has no file name"},
		{in: "${file:/missing}", problem: "can't be read"},
	}
	for _, tt := range tests {
		got, whole, p := x.expand(tt.in)
		if tt.problem != "" {
			if p == nil || !strings.Contains(p.message, tt.problem) {
				t.Errorf("%s: %+v, want a problem with %q", tt.in, p, tt.problem)
			}
			continue
		}
		if p != nil || got != tt.want || whole != tt.whole {
			t.Errorf("%s: %q, %v, %+v; want %q, %v", tt.in, got, whole, p, tt.want, tt.whole)
		}
	}
}

// TestExpandTyped checks that a value which consists of one reference can be a number, even in
// quotes.
func TestExpandTyped(t *testing.T) {
	for _, value := range []string{"${NUMBER}", `"${NUMBER}"`, "'${MISSING:-7}'"} {
		c, err := Parse("f", []byte("server: {timeouts: {idle: \"${DURATION}\"}}\n"+someUpstream+
			"routes:\n- {name: all, match: {path: /*}, upstream: web}\ncache: {memory: {max_object: 1}}\nadmin:\n  token: "+value+"\n"), environment, secrets)
		if err != nil || c.Admin.Token != "7" || c.Server.Timeouts.Idle.Seconds() != 45 {
			t.Errorf("%s: %+v, %v", value, c, err)
		}
		c, err = Parse("f", []byte("server:\n  limits:\n    connections: "+value+"\n"+someUpstream+someRoute), environment, secrets)
		if err != nil || c.Server.Limits.Connections != 7 {
			t.Errorf("%s: %+v, %v", value, c, err)
		}
	}
}

// TestExpandNeverInjects expands a variable whose text would be three lines of YAML.
func TestExpandNeverInjects(t *testing.T) {
	src := "upstreams: {web: {targets: [\"http://x\"]}}\nroutes:\n  - name: all\n    match: {path: /*}\n    upstream: web\n" +
		"    errors: [{status: [500], body: \"<${HOSTILE}>\"}]\n    zzz: 1\n"
	_, err := Parse("f", []byte(src), environment, secrets)
	if err == nil || err.Error() != "f:7:5: routes[0].zzz: unknown key (known here: "+strings.Join(keys(columns(reflect.TypeFor[Route]())), ", ")+")" {
		t.Errorf("positions moved: %v", err)
	}
	c, err := Parse("f", []byte(strings.ReplaceAll(src, "    zzz: 1\n", "")), environment, secrets)
	if err != nil {
		t.Fatal(err)
	}
	hostile, _ := environment("HOSTILE")
	if got := c.Routes[0].Errors[0].Body; got != "<"+hostile+">" || c.Admin.Address != "127.0.0.1:9901" {
		t.Errorf("body %q, admin %q", got, c.Admin.Address)
	}
}

// TestSecretsStayOut checks that no message contains text from the environment or from a file.
func TestSecretsStayOut(t *testing.T) {
	const secret = "hunter2 {x: [" // wrong for every kind of value
	env := func(string) (string, bool) { return secret, true }
	for _, src := range []string{
		"version: ${S}", "server: {listen: [{address: \"${S}\"}]}", "server: {listen: [{address: \"${S}:80\"}]}", "server: {trusted_proxies: [\"${S}\"]}", "server: {limits: {body_bytes: \"${S}\"}}",
		"server: {timeouts: {read: \"${S}\"}}", "admin: {token: \"${S}\"}", "admin: {address: \"${S}\"}", "upstreams: {a: {targets: [\"${S}\"]}}", "upstreams: {a: {targets: [\"http://${S}\"]}}",
		"upstreams: {a: {targets: [\"http://u:${S}@h\"], balance: \"${S}\", hash_on: \"header:${S}\", preserve_host: \"${S}\"}}",
		"routes: [{name: \"${S}\", match: {host: \"${S}\", path: \"/{a:${S}}\", methods: [\"${S}\"]}, upstream: \"${S}\"}]",
		"routes: [{rewrite: {path: \"/{${S}}\", strip_prefix: \"${S}\"}, cache_control: [{set: \"${S}\", when: {extension: [\"${S}\"], content_type: [\"${S}\"], status: [\"${S}\"]}}]}]",
		"routes: [{cache: {key: {headers: [\"${S}\"], cookies: [\"${S}\"]}, ttl: {jitter: \"${S}\"}, early_refresh: \"${S}\"}, headers: {request: {remove: [\"${S}\"]}}}]",
		"routes: [{errors: [{status: [500], content_type: \"${S}\", serve: \"${S}\"}]}]",
	} {
		_, err := Parse("f", []byte(src+"\n"), env, secrets)
		if err == nil {
			t.Errorf("%s: accepted", src)
		} else if strings.Contains(strings.ToLower(err.Error()), "hunter2") {
			t.Errorf("%s: %v", src, err)
		}
	}
}
