// Package advise shows a gateway traffic with something wrong in it, and looks at what it advises.
package advise

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy"
	"github.com/penstock/penstock/proxy/admin"
	"github.com/penstock/penstock/proxy/advice"
	"github.com/penstock/penstock/test/gatewaytest"
)

const routes = `cache: {memory: {size: 1MiB, max_object: 64KiB}}
upstreams: {origin: {targets: [ORIGIN]}}
routes:
  - {name: uncached, match: {path: "/uncached/*"}, upstream: origin}
  - {name: silent, match: {path: "/silent/*"}, upstream: origin}
  - {name: cookies, match: {path: "/cookies/*"}, upstream: origin, cache: {enabled: true}}
  - {name: private, match: {path: "/private/*"}, upstream: origin, cache: {enabled: true}}
  - {name: query, match: {path: "/query/*"}, upstream: origin, cache: {enabled: true}}
  - {name: items, match: {path: "/items/{id}"}, upstream: origin, cache: {enabled: true}}
  - {name: text, match: {path: "/text/*"}, upstream: origin, cache: {enabled: true}}
  - {name: big, match: {path: "/big/*"}, upstream: origin, cache: {enabled: true}}
  - {name: fine, match: {path: "/fine/*"}, upstream: origin, cache: {enabled: true}, compress: {}}
`

// origin answers each path with what is wrong with it.
func origin(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	content := "content"
	switch kind, _, _ := strings.Cut(r.URL.Path[1:], "/"); kind {
	case "uncached", "fine":
		h.Set("Cache-Control", "max-age=60")
	case "cookies":
		h.Set("Cache-Control", "max-age=60")
		h.Set("Set-Cookie", "session=1")
	case "private":
		h.Set("Cache-Control", "private")
	case "query":
		h.Set("Cache-Control", "max-age=60")
		content = r.URL.Path + r.URL.Query().Get("page")
		h.Set("Etag", `"`+content+`"`)
	case "items":
		h.Set("Cache-Control", "max-age=60")
	case "text":
		h.Set("Cache-Control", "max-age=60")
		h.Set("Content-Type", "text/html")
		content = strings.Repeat("<p>text</p>", 1000)
	case "big":
		h.Set("Cache-Control", "max-age=60")
		content = strings.Repeat("x", 100<<10)
	}
	h.Set("Content-Length", strconv.Itoa(len(content)))
	fmt.Fprint(w, content)
}

// TestAdvise: each defect of the traffic is named, on its route, with YAML that the configuration takes; a route without one is left alone.
func TestAdvise(t *testing.T) {
	o := gatewaytest.NewOrigin(t, origin)
	g := gatewaytest.Start(t, strings.Replace(routes, "ORIGIN", o.URL, 1))
	for i := range 160 {
		page := i % 10
		for _, path := range []string{"uncached", "silent", "cookies", "private", "text", "fine"} {
			g.Get(fmt.Sprintf("/%s/%d", path, page), "Accept-Encoding", "gzip")
		}
		g.Get(fmt.Sprintf("/query/a?page=%d&utm_source=s%d", i%3, i))
		g.Get(fmt.Sprintf("/query/a?page=%d&ref=%d", i%3, i))
		g.Get(fmt.Sprintf("/big/%d", page))
	}
	for i := range 20 {
		g.Clock.Advance(time.Second)
		for j := range 10 { // in no time, by the gateway's clock
			g.Get(fmt.Sprintf("/items/%d", 10*i+j))
		}
	}
	got := g.Advise()
	for _, want := range []struct{ kind, subject, yaml string }{
		{"uncached", "route uncached", "enabled: true"},
		{"uncached", "route silent", "default: 10s"},
		{"unstored", "route cookies", "set_cookie: strip"},
		{"unstored", "route private", "mode: override"},
		{"query", "route query", `exclude: ["ref", "utm_*"]`},
		{"batch", "route items", ""},
		{"compress", "route text", "compress: {}"},
		{"large", "route big", "max_object: 128KiB"},
	} {
		i := slices.IndexFunc(got.Advice, func(a advice.Advice) bool { return a.Kind == want.kind && a.Subject == want.subject })
		if i < 0 {
			t.Errorf("%s is not advised for %s", want.kind, want.subject)
			continue
		}
		if a := got.Advice[i]; !strings.Contains(a.YAML, want.yaml) || len(a.Evidence) == 0 {
			t.Errorf("%s for %s: %q by %q, want %q", want.kind, want.subject, a.YAML, a.Evidence, want.yaml)
		}
	}
	for _, a := range got.Advice {
		if a.Subject == "route fine" || strings.Contains(a.YAML, `"page"`) {
			t.Errorf("a sound configuration gets advice: %+v", a)
		}
	}
	check(t, got)
}

// check does with the YAML of each advice what `penstock check` does.
func check(t *testing.T, got *admin.Advice) {
	for _, a := range got.Advice {
		if a.YAML == "" {
			t.Logf("%s for %s has none: %s", a.Kind, a.Subject, a.Caution)
			continue
		}
		cfg, err := config.Parse("gateway.yaml", []byte(admin.Pasted(&a)), nil, nil)
		if err == nil {
			err = proxy.Check(t.Context(), cfg)
		}
		if err != nil {
			t.Errorf("%s for %s: %v\n%s", a.Kind, a.Subject, err, admin.Pasted(&a))
		}
	}
}

// TestAdviceHelps: with what is advised pasted in, the same traffic is answered from the cache.
func TestAdviceHelps(t *testing.T) {
	o := gatewaytest.NewOrigin(t, origin)
	for _, path := range []string{"uncached", "silent", "cookies", "private", "query"} {
		text := fmt.Sprintf("upstreams: {origin: {targets: [%s]}}\nroutes:\n  - name: r\n    match: {path: /*}\n    upstream: origin\n", o.URL)
		defaults := "cache: {enabled: true}"
		if path == "uncached" || path == "silent" {
			defaults = ""
		}
		run := func(text string) (*gatewaytest.Gateway, int) {
			g, before := gatewaytest.Start(t, text), o.Calls()
			for i := range 160 {
				url := fmt.Sprintf("/%s/%d", path, i%10)
				if path == "query" {
					url += fmt.Sprintf("?utm_source=%d", i)
				}
				g.Get(url)
			}
			return g, o.Calls() - before
		}
		g, before := run("defaults: {" + defaults + "}\n" + text)
		var yaml string
		for _, a := range g.Advise().Advice {
			if a.Subject == "route r" && a.YAML != "" && a.Kind != "compress" {
				yaml += a.YAML
				break
			}
		}
		if yaml == "" {
			t.Errorf("%s: nothing is advised", path)
			continue
		}
		for line := range strings.Lines(yaml) {
			text += "    " + line
		}
		if !strings.Contains(yaml, "enabled") {
			text = "defaults: {" + defaults + "}\n" + text
		}
		if _, err := config.Parse("gateway.yaml", []byte("version: 1\n"+text), nil, nil); err != nil {
			t.Fatal(err)
		}
		if _, after := run(text); after*2 > before {
			t.Errorf("%s: %d calls to the origin before, %d after\n%s", path, before, after, yaml)
		}
	}
}
