package explain

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/penstock/penstock/proxy/explain"
)

// tree is a part of a configuration.
type tree = map[string]any

// pick draws one of the values.
func pick[V any](t *rapid.T, name string, values ...V) V {
	return rapid.SampledFrom(values).Draw(t, name)
}

// maybe sets a key in one case of n.
func maybe(t *rapid.T, n int, in tree, key string, value func() any) {
	if rapid.IntRange(1, n).Draw(t, key+"?") == 1 {
		in[key] = value()
	}
}

// someRoutes draws the routes of a configuration: two that overlap, and one for the rest.
func someRoutes(t *rapid.T) []any {
	paths := []string{"/a/*", "/a/{id}", "/a/b", "/{x}/b", "/b/*"}
	var routes []any
	for i := range rapid.IntRange(0, 2).Draw(t, "routes") {
		match := tree{"path": pick(t, "path", paths...)}
		host := []string{"*.example", "a.example"}[i] // of two with one path and host only one could ever be met
		maybe(t, 3-i, match, "host", func() any { return host })
		if i == 1 && match["host"] == nil {
			match["path"] = "/b/b"
		}
		maybe(t, 4, match, "methods", func() any { return pick(t, "methods", []string{"GET"}, []string{"GET", "HEAD"}, []string{"POST"}) })
		routes = append(routes, someRoute(t, fmt.Sprintf("r%d", i), match))
	}
	return append(routes, someRoute(t, "rest", tree{"path": "/*"}))
}

func someRoute(t *rapid.T, name string, match tree) tree {
	cache := tree{"enabled": rapid.IntRange(1, 8).Draw(t, "enabled") < 8}
	ttl := func() any { return pick(t, "ttl", "0s", "5s", "1m") }
	life := tree{}
	maybe(t, 3, life, "default", ttl)
	maybe(t, 4, life, "min", ttl)
	maybe(t, 4, life, "status", func() any { return tree{pick(t, "status ttl", "404", "200", "503"): ttl()} })
	if life["min"] == nil {
		maybe(t, 4, life, "max", func() any { return pick(t, "max", "5s", "1h") })
	}
	cache["ttl"] = life
	query := tree{}
	maybe(t, 3, query, "exclude", func() any { return []string{"utm_*", "z"} })
	maybe(t, 4, query, "include", func() any { return []string{"a", "b*"} })
	maybe(t, 3, query, "sort", func() any { return true })
	key := tree{"query": query}
	maybe(t, 4, key, "headers", func() any { return []string{"X-Tenant"} })
	maybe(t, 4, key, "cookies", func() any { return []string{"sid"} })
	cache["key"] = key
	maybe(t, 3, cache, "stale_while_revalidate", ttl)
	maybe(t, 3, cache, "stale_if_error", ttl)
	maybe(t, 3, cache, "authorization", func() any { return pick(t, "authorization mode", "rfc", "never", "key") })
	maybe(t, 3, cache, "set_cookie", func() any { return pick(t, "cookie mode", "pass", "strip", "store") })
	maybe(t, 3, cache, "cookies", func() any { return pick(t, "cookies mode", "explicit", "ignore", "bypass") })
	if cache["cookies"] != "ignore" {
		maybe(t, 4, cache, "ignore_cookies", func() any { return []string{"a", "_ga*"} })
	}
	maybe(t, 4, cache, "client_directives", func() any { return "ignore" })
	maybe(t, 6, cache, "ignore_origin", func() any { return true })
	route := tree{"name": name, "match": match, "upstream": "origin", "cache": cache}
	maybe(t, 3, route, "compress", func() any { return tree{"encodings": []string{"br", "gzip"}, "min_size": 16} })
	maybe(t, 3, route, "cache_control", func() any {
		return []any{tree{"when": pick(t, "when", tree{"extension": []string{"css"}}, tree{"content_type": []string{"text/*"}}, tree{"status": []int{404}}),
			"set": pick(t, "set", "public, max-age=30", "no-store", "max-age=10, must-revalidate"), "mode": pick(t, "mode", "absent", "override")}}
	})
	if cache["enabled"] == true {
		maybe(t, 6, route, "errors", func() any {
			return []any{tree{"status": []int{404, 503}, "body": "sorry", "cache_for": pick(t, "cache_for", "0s", "20s")}}
		})
	}
	maybe(t, 4, route, "merge_slashes", func() any { return true })
	maybe(t, 6, route, "headers", func() any { return tree{"response": tree{"remove": []string{"Set-Cookie"}}} })
	return route
}

// configuration is the text of a configuration with the routes, without its version.
func configuration(origin string, routes []any) string {
	cfg := tree{
		"server":    tree{"listen": []any{tree{"address": "127.0.0.1:0"}}},
		"admin":     tree{"address": "127.0.0.1:0"},
		"cache":     tree{"memory": tree{"size": "4MiB", "max_object": "2KiB"}},
		"upstreams": tree{"origin": tree{"targets": []string{origin}}},
		"routes":    routes,
	}
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(cfg)) {
		value, err := json.Marshal(cfg[key])
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(&b, "%s: %s\n", key, value)
	}
	return b.String()
}

// someRequest draws what a client asks.
func someRequest(t *rapid.T) explain.Question {
	ask := explain.Question{
		Method: pick(t, "method", "GET", "GET", "GET", "GET", "HEAD", "POST"),
		URL: "http://" + pick(t, "host", "a.example", "a.example", "b.example") + pick(t, "url", "/a/b", "/a/c.css", "/b/b", "/x", "/a//c.css", "/a/%62", "//b/b") +
			pick(t, "query", "", "", "?a=1&b=2", "?b=2&a=1", "?z=3&utm_x=1", "?c=1;a=2"),
	}
	line := func(n int, values ...string) {
		if rapid.IntRange(1, n).Draw(t, "field?") == 1 {
			ask.Header = append(ask.Header, pick(t, "field", values...))
		}
	}
	line(5, "Cache-Control: no-cache", "Cache-Control: no-store", "Cache-Control: max-age=0", "Cache-Control: max-age=20", "Cache-Control: only-if-cached",
		"Cache-Control: max-stale", "Cache-Control: min-fresh=10", "Pragma: no-cache")
	line(6, "Authorization: Bearer x", "Authorization: Bearer y")
	line(4, "Cookie: sid=1", "Cookie: sid=2; a=b", "Cookie: a=b; _ga=1")
	line(4, "X-Tenant: 1", "X-Tenant: 2")
	line(2, "Accept-Encoding: gzip", "Accept-Encoding: br, gzip;q=0.5", "Accept-Encoding: identity")
	line(4, `If-None-Match: "e"`, `If-None-Match: "other"`)
	line(5, "Accept-Language: de", "Accept-Language: en, de;q=0.5")
	line(8, "Range: bytes=0-3", "Range: bytes=900-")
	return ask
}

// says is what the origin answers.
type says struct {
	status int
	fields []string
	body   string
	etag   string // it answers conditions that name it with 304
}

func someAnswer(t *rapid.T) says {
	if rapid.IntRange(0, 2).Draw(t, "plain") == 0 {
		return says{status: 200, fields: []string{"Cache-Control: max-age=60", "Content-Type: text/css"}, body: strings.Repeat("x", 100)}
	}
	s := says{status: pick(t, "status", 200, 200, 200, 200, 301, 404, 404, 500, 503), body: strings.Repeat("x", pick(t, "size", 0, 8, 100, 3000))}
	line := func(n int, values ...string) {
		if rapid.IntRange(1, n).Draw(t, "says?") == 1 {
			s.fields = append(s.fields, pick(t, "says", values...))
		}
	}
	if cc := rapid.SliceOfN(rapid.SampledFrom([]string{
		"max-age=60", "max-age=60", "max-age=600", "max-age=0", "s-maxage=30", "no-cache", "no-store", "private", `private="X-A"`, "public", "must-revalidate", "immutable",
		"stale-while-revalidate=20", "stale-if-error=40", "must-understand", "x=y",
	}), 0, 3).Draw(t, "directives"); len(cc) > 0 {
		s.fields = append(s.fields, "Cache-Control: "+strings.Join(cc, ", "))
	}
	line(3, `Etag: "e"`)
	line(5, "Expires: 0", "Expires: "+time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
	line(5, "Last-Modified: "+time.Now().Add(-100*time.Hour).UTC().Format(http.TimeFormat))
	line(6, "Age: 10", "Age: 100")
	line(8, "Set-Cookie: a=b")
	line(5, "Vary: Accept-Language", "Vary: *", "Vary: Accept-Encoding", "Vary: Cookie")
	line(6, "Cdn-Cache-Control: max-age=70", "Cdn-Cache-Control: no-store", "Cdn-Cache-Control: junk,")
	s.fields = append(s.fields, "Content-Type: "+pick(t, "type", "text/css", "text/html", "application/json", "image/png"))
	if slices.Contains(s.fields, `Etag: "e"`) {
		s.etag = `"e"`
	}
	return s
}

// to is the answer to a request with these fields.
func (s *says) to(header http.Header) *explain.Given {
	if s.etag != "" && s.status == 200 && header.Get("If-None-Match") == s.etag {
		return &explain.Given{Status: http.StatusNotModified, Header: slices.DeleteFunc(slices.Clone(s.fields), func(l string) bool { return strings.HasPrefix(l, "Content-Type") })}
	}
	return &explain.Given{Status: s.status, Header: append(slices.Clone(s.fields), "Content-Length: "+strconv.Itoa(len(s.body)))}
}

// ServeHTTP answers.
func (s *says) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := s.to(r.Header)
	for _, line := range answer.Header {
		name, value, _ := strings.Cut(line, ": ")
		w.Header().Add(name, value)
	}
	w.WriteHeader(answer.Status)
	if answer.Status != http.StatusNotModified && r.Method != http.MethodHead {
		fmt.Fprint(w, s.body)
	}
}

// headerOf reads field lines.
func headerOf(lines []string) http.Header {
	h := make(http.Header)
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	return h
}
