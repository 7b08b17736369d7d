package build

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/cache/entry"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/store"
)

// compileTags returns the sources of the tags of a route's stored responses.
func compileTags(r *config.Route, log *slog.Logger) entry.Tags {
	t := entry.Tags{Header: tagField(r), Send: r.Cache.Tags.Send, Internal: isInternalTag}
	if r.Cache.Enabled {
		t.Rules = entry.RuleTag(headRules(r), lifeRules(r), wordRules(r))
		t.Overfull = overfull(log, r.Name)
	}
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

// overfull returns the function that logs that a response has too many tags. The attributes are the
// same each time, so that the log can fold the lines.
func overfull(log *slog.Logger, route string) func(string) {
	return func(limit string) {
		log.Warn(fmt.Sprintf("a response has more tags than are kept (%d, of %d bytes each and %d together): every purge of a tag removes it",
			store.MaxTags, store.MaxTagBytes, store.MaxTagsBytes), "route", route, "limit", limit)
	}
}

// expand replaces {name} in template with the captured parameter. The values stay escaped. A comma
// is escaped too, because it would make two tags of one.
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
