package config

import (
	"slices"
	"strings"
)

// paginate requires an upstream, and the settings on which each setting depends.
func (k checker) paginate(r *Route, n *node) {
	at := n.get("paginate")
	if !k.sound(at) || r.Paginate == nil {
		return
	}
	p := r.Paginate
	if r.Aggregate != nil || r.Batch != nil {
		k.at(at, problemf("paginate needs an upstream, and this route has none"))
	}
	if limit := at.get("limit"); k.sound(limit) && p.Limit != nil && p.Limit.Default > p.Limit.Max {
		k.at(limit.get("default"), problemf("default %d is above max %d", p.Limit.Default, p.Limit.Max))
	}
	if p.Limit == nil && p.Cursor == nil && k.whole(at.get("limit")) && k.whole(at.get("cursor")) {
		k.at(at, problemf("without `limit` and `cursor` this has no effect"))
	}
	if cursor := at.get("cursor"); k.sound(cursor) && p.Cursor != nil {
		if next := cursor.get("next"); k.sound(next) && (p.Cursor.Next == "" || slices.Contains(strings.Split(p.Cursor.Next, "."), "#")) {
			k.at(next, problemf("the path must lead to one value").or("such as pagination.next_cursor"))
		}
		if p.Limit != nil && p.Limit.Param == p.Cursor.Param && k.whole(at.get("limit")) {
			k.at(cursor.get("param"), problemf("limit already uses this parameter"))
		}
	}
	if link := at.get("link_header"); k.sound(link) && p.LinkHeader && at.get("cursor") == nil {
		k.at(link, problemf("a link needs a cursor").or("add `cursor`"))
	}
	prefetch := at.get("prefetch")
	switch {
	case !k.sound(prefetch) || p.Prefetch == 0:
	case !p.LinkHeader && k.whole(at.get("link_header")):
		k.at(prefetch, problemf("the gateway finds the next page by the link").or("write link_header: true"))
	case !r.Cache.Enabled && k.whole(n.get("cache")):
		k.at(prefetch, problemf("this route has no cache to fetch pages into").or("write cache: {enabled: true}"))
	}
}

// readQueryParam accepts a name that needs no escapes in a query.
func readQueryParam(s string) (string, *problem) {
	if s == "" || len(s) > 64 || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune("&=;#%+?<>\"", c) }) {
		return "", not("such as limit or page[size]")
	}
	return s, nil
}
