package config

import (
	"slices"
	"strings"
)

// paginate wants an upstream that has the pages, and what each setting stands on.
func (k checker) paginate(r *Route, n *node) {
	at := n.get("paginate")
	if !k.sound(at) || r.Paginate == nil {
		return
	}
	p := r.Paginate
	if r.Aggregate != nil || r.Batch != nil {
		k.at(at, problemf("pages are those of an upstream, and this route has none"))
	}
	if limit := at.get("limit"); k.sound(limit) && p.Limit != nil && p.Limit.Default > p.Limit.Max {
		k.at(limit.get("default"), problemf("default %d is above max %d", p.Limit.Default, p.Limit.Max))
	}
	if p.Limit == nil && p.Cursor == nil && k.whole(at.get("limit")) && k.whole(at.get("cursor")) {
		k.at(at, problemf("with neither `limit` nor `cursor` nothing would be done"))
	}
	if cursor := at.get("cursor"); k.sound(cursor) && p.Cursor != nil {
		if next := cursor.get("next"); k.sound(next) && (p.Cursor.Next == "" || slices.Contains(strings.Split(p.Cursor.Next, "."), "#")) {
			k.at(next, problemf("it leads to one value").or("such as pagination.next_cursor"))
		}
		if p.Limit != nil && p.Limit.Param == p.Cursor.Param && k.whole(at.get("limit")) {
			k.at(cursor.get("param"), problemf("limit has this parameter already"))
		}
	}
	if link := at.get("link_header"); k.sound(link) && p.LinkHeader && at.get("cursor") == nil {
		k.at(link, problemf("there is no cursor to make a link of").or("add `cursor`"))
	}
	prefetch := at.get("prefetch")
	switch {
	case !k.sound(prefetch) || p.Prefetch == 0:
	case !p.LinkHeader && k.whole(at.get("link_header")):
		k.at(prefetch, problemf("it is by the link that the next page is found").or("write link_header: true"))
	case !r.Cache.Enabled && k.whole(n.get("cache")):
		k.at(prefetch, problemf("this route has no cache to fetch pages into").or("write cache: {enabled: true}"))
	}
}

// readQueryParam takes a name that stands in a query as it is.
func readQueryParam(s string) (string, *problem) {
	if s == "" || len(s) > 64 || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune("&=;#%+?<>\"", c) }) {
		return "", not("such as limit or page[size]")
	}
	return s, nil
}
