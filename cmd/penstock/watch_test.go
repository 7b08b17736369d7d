package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/penstock/penstock/config"
)

func TestDirectoriesOf(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	at := func(names ...string) string { return filepath.Join(append([]string{root}, names...)...) }
	for _, dir := range []string{at("v1", "conf"), at("etc"), at("mount", "..1")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{
		at("current"):            "v1",                              // deployments that swap a directory
		at("etc", "linked.yaml"): at("current", "conf", "g.yaml"),   // absolute, through another link
		at("mount", "..data"):    "..1",                             // Kubernetes
		at("mount", "g.yaml"):    filepath.Join("..data", "g.yaml"), //
		at("etc", "loop.yaml"):   "loop.yaml",                       // points at itself
		at("etc", "broken.yaml"): at("gone", "g.yaml"),              //
	} {
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}
	for file, want := range map[string][]string{
		at("v1", "conf", "g.yaml"):      {at("v1", "conf")},
		at("current", "conf", "g.yaml"): {root, at("current", "conf"), at("v1", "conf")},
		at("etc", "linked.yaml"):        {root, at("current", "conf"), at("etc"), at("v1", "conf")},
		at("mount", "g.yaml"):           {at("mount"), at("mount", "..1"), at("mount", "..data")},
		at("etc", "loop.yaml"):          {at("etc")},
		at("etc", "broken.yaml"):        {at("etc")},
		at("gone", "g.yaml"):            nil,
	} {
		slices.Sort(want)
		if got := directoriesOf(file); !slices.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", file, got, want)
		}
	}
}

func TestDifference(t *testing.T) {
	base := func() *config.Config {
		return &config.Config{
			Upstreams: map[string]*config.Upstream{"a": {Name: "a"}, "b": {Name: "b"}},
			Routes:    []*config.Route{{Name: "x"}, {Name: "y"}},
		}
	}
	for _, c := range []struct {
		change func(*config.Config)
		want   []string
	}{
		{func(*config.Config) {}, []string{"nothing"}},
		{func(c *config.Config) { c.Routes[0], c.Routes[1] = c.Routes[1], c.Routes[0] }, []string{"nothing"}},
		{func(c *config.Config) { c.Server.Limits.URLBytes = 7; c.Cache.Memory.Size = 9 }, []string{"server", "cache"}},
		{func(c *config.Config) { delete(c.Upstreams, "a"); c.Upstreams["c"] = &config.Upstream{} }, []string{"-upstream a", "+upstream c"}},
		{func(c *config.Config) { c.Routes[1].Upstream = "a"; c.Admin.Token = "secret" }, []string{"admin", "route y"}},
	} {
		next := base()
		c.change(next)
		if got := difference(base(), next); !slices.Equal(got, c.want) {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
