// Package paginate is for lists that come page by page. It settles the size of a page before the request meets the cache, so that requests which come to the same
// page share an object; and it finds the next page in the one that has come, and names it in Link (RFC 8288).
//
// It stands on both sides of the cache: [Pages.Handler] in front of it, [Pages.Origin] behind. It knows nothing of caching, routes and configuration.
package paginate

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/penstock/penstock/proxy/rawjson"
)

// Pages says how a list comes.
type Pages struct {
	LimitParam   string       // "": there is none
	Default, Max int          // of the limit
	CursorParam  string       // "": where the next page is is not known
	Next         rawjson.Path // where a page has the cursor of the next one
	Link         bool         // the next page is named in Link
	OwnPath      bool         // the URL that the client asked for has the upstream's path, so that Link can say it
	MaxBytes     int64        // of a page that is looked into, decoded
	Depth        int
}

// Handler gives requests for pages the limit that they come to.
func (p *Pages) Handler(next http.Handler) http.Handler {
	if p.LimitParam == "" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			if query := p.settled(r.URL.RawQuery); query != r.URL.RawQuery {
				u := *r.URL
				u.RawQuery = query
				r2 := *r
				r2.URL = &u
				r = &r2
			}
		}
		next.ServeHTTP(w, r)
	})
}

// settled is a query with one limit, between 1 and the largest; where it has none, or one that is no number above 0, with the default. The limit keeps its place.
func (p *Pages) settled(query string) string {
	limit, at := p.Default, -1
	var params []string
	for param := range strings.SplitSeq(query, "&") {
		if param == "" {
			continue
		}
		name, value, _ := strings.Cut(param, "=")
		if plain, err := url.QueryUnescape(name); err != nil || plain != p.LimitParam {
			params = append(params, param)
			continue
		}
		if at < 0 { // of several the first counts
			at = len(params)
			limit = p.limit(value)
			params = append(params, "")
		}
	}
	own := url.QueryEscape(p.LimitParam) + "=" + strconv.Itoa(limit)
	if at < 0 {
		params = append(params, own)
	} else {
		params[at] = own
	}
	return strings.Join(params, "&")
}

func (p *Pages) limit(value string) int {
	if len(value) > 9 && strings.Trim(value, "0123456789") == "" {
		return p.Max
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return p.Default
	}
	return min(n, p.Max)
}

// follow is query with another cursor.
func (p *Pages) follow(query, cursor string) string {
	var params []string
	for param := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(param, "=")
		if plain, err := url.QueryUnescape(name); param == "" || err == nil && plain == p.CursorParam {
			continue
		}
		params = append(params, param)
	}
	return strings.Join(append(params, url.QueryEscape(p.CursorParam)+"="+url.QueryEscape(cursor)), "&")
}
