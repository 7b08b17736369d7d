package store

import (
	"strings"
)

// Limits of the tags of one stored response. They equal those of the large CDNs, so that an origin
// which observes a CDN's limits needs no change.
const (
	MaxTags      = 1000     // number of tags
	MaxTagBytes  = 1024     // bytes of one tag
	MaxTagsBytes = 16 << 10 // bytes of all tags together
)

// MoreTags marks a response of which some tags were dropped because they exceeded a limit. Every
// purge by tag hits such a response, because the purged tag may be a dropped one. Operators and
// origins can't name this tag.
const MoreTags = "\x03more"

// pageTags is the prefix of the tags that PageTag makes. Operators and origins can't name such a
// tag.
const pageTags = "\x01page:"

// PageTag returns the tag of a response whose content is the page at the given URL, such as a
// custom error page. If a purge by URL or by prefix hits the page, it hits the response too.
func PageTag(host, path, query string) string {
	if query != "" {
		path += "?" + query
	}
	return pageTags + host + path
}

// matchPages applies the purges of the pages that provide the subject's content. The caller holds
// the lock.
func (e *Epochs) matchPages(t *verdict, s *Subject) {
	for _, tag := range s.Tags {
		url, ok := strings.CutPrefix(tag, pageTags)
		if !ok || strings.IndexByte(url, '/') < 0 {
			continue
		}
		p := cutURL(url)
		e.urls.check(t, p, p.host, p.path, "?", p.query)
		e.matchPrefixes(t, &Subject{Host: p.host, Path: p.path})
	}
}
