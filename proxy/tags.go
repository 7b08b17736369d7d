package proxy

import (
	"net/http"
	"strings"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/observe"
)

// compileTags says where the tags of a route's stored responses come from.
func compileTags(r *config.Route) cache.Tags {
	t := cache.Tags{Header: r.Cache.Tags.Header, Send: r.Cache.Tags.Send}
	if len(r.Cache.Tags.From) > 0 {
		templates := r.Cache.Tags.From
		t.Expand = func(req *http.Request) []string {
			tags := make([]string, len(templates))
			for i, template := range templates {
				tags[i] = expand(template, observe.FromContext(req.Context()).Captured)
			}
			return tags
		}
	}
	return t
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
