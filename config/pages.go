package config

import (
	"slices"
	"strings"
)

// pageExtensions lists the extensions whose media types dynamic answers have too, so that the
// Content-Type of a response does not prove that it is a file.
var pageExtensions = []string{
	"html", "htm", "xhtml", "json", "map", "webmanifest", "xml", "rss", "atom", "txt", "csv", "md", "pdf", "zip", "gz", "tgz",
}

// publicPages warns of rules by extension that would make pages for one user public if an origin
// ignores the tail of a path.
func (k checker) publicPages(r *Route, n *node) {
	if !r.Cache.Enabled || !strings.ContainsAny(r.Match.Path, "{*") {
		return
	}
	for i, rule := range r.CacheControl {
		at := item(n.get("cache_control"), i)
		if at == nil || !grants(rule.Set) {
			continue
		}
		for _, ext := range rule.When.Extensions {
			if slices.Contains(pageExtensions, ext) {
				k.warn(at, problemf("this rule makes every response to a path of route %s that ends in .%s public for every client; pages for one user can have the Content-Type of such a "+
					"file too, and an origin that ignores the tail of a path serves /account/x.%s as a page", clip(r.Name), ext, ext).or("use the rule only for a path that holds nothing but files"))
			}
		}
	}
}

// grants reports whether a Cache-Control value allows storing the response for other clients.
func grants(set string) bool {
	set = strings.ToLower(set)
	for _, forbids := range [...]string{"no-store", "private", "no-cache"} {
		if strings.Contains(set, forbids) {
			return false
		}
	}
	return strings.Contains(set, "public") || strings.Contains(set, "max-age") || strings.Contains(set, "s-maxage")
}
