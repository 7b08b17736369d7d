package proxy

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/observe"
)

// compileTags says where the tags of a route's stored responses come from.
func compileTags(r *config.Route) cache.Tags {
	t := cache.Tags{Header: r.Cache.Tags.Header, Send: r.Cache.Tags.Send}
	t.Expand = expandTags(r.Cache.Tags.From)
	if r.Paginate != nil {
		t.Expand = withListTag(t.Expand)
	}
	return t
}

// expandTags makes tags of templates and what a route's pattern captured; nil where there are none.
func expandTags(templates []string) func(*http.Request) []string {
	if len(templates) == 0 {
		return nil
	}
	return func(req *http.Request) []string {
		tags := make([]string, len(templates))
		for i, template := range templates {
			tags[i] = expand(template, observe.FromContext(req.Context()).Captured)
		}
		return tags
	}
}

// withListTag adds the tag that all pages of a list share.
func withListTag(more func(*http.Request) []string) func(*http.Request) []string {
	return func(req *http.Request) []string {
		tags := []string{listTag(req.Host, req.URL.EscapedPath())}
		if more != nil {
			tags = append(tags, more(req)...)
		}
		return tags
	}
}

// listTag is the tag of all pages of the list at a canonical path: list:/api/orders@example.com, where that is fit for one.
func listTag(host, path string) string {
	tag := "list:" + path + "@" + host
	if len(tag) > 128 || strings.ContainsAny(tag, ", ") {
		sum := sha256.Sum256([]byte(tag))
		tag = "list:" + hex.EncodeToString(sum[:16])
	}
	return tag
}

// expand fills in {name} with what the route's pattern captured. The values stay escaped, and a comma is escaped too: it would make one tag two.
func expand(template string, captured map[string]string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(template, "{")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		name, rest, _ := strings.Cut(after, "}")
		b.WriteString(strings.ReplaceAll(captured[name], ",", "%2C"))
		template = rest
	}
}
