package config

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestFullUsesEveryKey checks that testdata/good/full.yaml uses every key.
func TestFullUsesEveryKey(t *testing.T) {
	src, err := os.ReadFile("testdata/good/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	root := readTree(src, &report{}, newExpander(environment, secrets))
	used := map[string]bool{}
	collect(root, reflect.TypeFor[Config](), column{}, used)
	eachColumn(reflect.TypeFor[Config](), map[reflect.Type]bool{}, func(owner, _ reflect.Type, c column) {
		if !used[owner.Name()+"."+c.key] {
			t.Errorf("%s.%s is not used", owner.Name(), c.key)
		}
	})
}

// collect records the keys that a node uses, by struct.
func collect(n *node, t reflect.Type, c column, used map[string]bool) {
	if scalarOf(t, c) != nil {
		return
	}
	switch t.Kind() {
	case reflect.Pointer:
		collect(n, t.Elem(), c, used)
	case reflect.Slice:
		for _, e := range n.items {
			collect(e, t.Elem(), c, used)
		}
	case reflect.Map:
		for _, f := range n.fields {
			collect(f.value, t.Elem(), column{as: c.as}, used)
		}
	case reflect.Struct:
		for _, c := range columns(t) {
			if value := n.get(c.key); value != nil {
				used[t.Name()+"."+c.key] = true
				collect(value, t.Field(c.index).Type, c, used)
			}
		}
	}
}

// TestReferencesTyped checks the values of testdata/good/references.yaml.
func TestReferencesTyped(t *testing.T) {
	c, err := parseFile(t, "testdata/good/references.yaml")
	if err != nil {
		t.Fatal(err)
	}
	l, r := c.Server.Listen[0], c.Routes[0]
	if l.Address != "127.0.0.1:8080" || !l.H2C || c.Server.Limits.Connections != 7 || c.Server.Limits.BodyBytes != 1<<20 || c.Admin.Token != "from-a-file" {
		t.Errorf("%+v %+v %+v", l, c.Server.Limits, c.Admin)
	}
	if got := c.Upstreams["web"].Targets; got[0].URL.Host != "127.0.0.1:7009" || got[1].URL.Host != "127.0.0.1:7003" || got[1].Weight != 7 {
		t.Errorf("%+v", got)
	}
	if r.Cache.EarlyRefresh != 0.5 || r.Cache.Authorization != AuthorizationNever || r.Cache.TTL.Jitter != 0.07 {
		t.Errorf("%+v", r.Cache)
	}
	if got := r.Headers.Request.Set; got["X-Price"] != "$5" || got["X-Braces"] != "${{kept}}" {
		t.Errorf("%v", got)
	}
}

// TestAnchors checks the values of testdata/good/anchors.yaml.
func TestAnchors(t *testing.T) {
	c, err := parseFile(t, "testdata/good/anchors.yaml")
	if err != nil {
		t.Fatal(err)
	}
	b, two := c.Upstreams["b"], c.Routes[1]
	if len(b.Targets) != 2 || b.Pool.Max != 10 || b.Balance != BalanceRoundRobin || c.Upstreams["a"].Balance != BalanceP2C {
		t.Errorf("%+v", b)
	}
	if two.Name != "two" || two.Match.Path != "/two" || len(two.Match.Methods) != 2 || two.Upstream != "a" || two.Cache.TTL.Default == 0 || two.Cache.StaleIfError != 0 {
		t.Errorf("%+v", two)
	}
}

// TestErrorText checks the format that operators and editors parse.
func TestErrorText(t *testing.T) {
	_, err := Parse("dir/gateway.yaml", []byte(someUpstream+"routes:\n- name: all\n  match: {path: /*}\n  upstream: web\n  cache: {enabled: true, ttl: {default: 5}}\n  uprgade: websocket\n"), nil, nil)
	want := []string{
		"dir/gateway.yaml:6:41: routes[0].cache.ttl.default: \"5\" is not a duration (write 5s)",
		"dir/gateway.yaml:7:3: routes[0].uprgade: unknown key (did you mean `upgrade`?)",
	}
	if err == nil || err.Error() != strings.Join(want, "\n") {
		t.Errorf("%v", err)
	}
}
