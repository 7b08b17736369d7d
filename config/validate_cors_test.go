package config

import (
	"slices"
	"testing"
)

// TestCORSOfDefaults: rules in `defaults` are for all routes, also for one that takes fewer methods,
// and a route can replace each of them.
func TestCORSOfDefaults(t *testing.T) {
	c, err := Parse("f", []byte(`upstreams: {web: {targets: ["http://x"]}}
defaults:
  cors: {origins: ["https://a.example"], methods: [GET, PUT], credentials: true}
  headers: {response: {remove: [Access-Control-Max-Age], set: {Access-Control-Allow-Origin: "*"}}}
routes:
  - {name: read, match: {path: /a, methods: [GET]}, upstream: web}
  - {name: other, match: {path: /b}, upstream: web, cors: {origins: ["https://b.example"], max_age: 1m}}
`), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"https://a.example", "https://b.example"} {
		if got := c.Routes[i].CORS; got == nil || !slices.Equal(got.Origins, []string{want}) || !slices.Equal(got.Methods, []string{"GET", "PUT"}) || !got.Credentials {
			t.Errorf("route %d: %+v", i, got)
		}
	}
}
