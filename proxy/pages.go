package proxy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/paginate"
	"github.com/penstock/penstock/proxy/rawjson"
)

// compilePages is what is known of a route's pages; nil: it has none.
func compilePages(cfg *config.Config, r *config.Route) (*paginate.Pages, error) {
	p := r.Paginate
	if p == nil {
		return nil, nil
	}
	made := &paginate.Pages{MaxBody: cfg.Cache.Memory.MaxObject, Path: publicPath(r.Match.Path)}
	if p.Limit != nil {
		made.Limit = paginate.Limit{Param: p.Limit.Param, Default: p.Limit.Default, Max: p.Limit.Max}
	}
	if p.Cursor != nil {
		made.Cursor = p.Cursor.Param
		next, err := rawjson.ParsePath(p.Cursor.Next)
		if err != nil {
			return nil, fmt.Errorf("paginate.cursor.next: %w", err)
		}
		made.Next = next
	}
	return made, nil
}

// publicPath gives the path that a client asked for by what the pattern captured of it: a fill knows the upstream's path alone.
func publicPath(pattern string) func(*http.Request) string {
	return func(req *http.Request) string {
		captured := observe.FromContext(req.Context()).Captured
		var b strings.Builder
		for rest := pattern; rest != ""; {
			before, after, found := strings.Cut(rest, "{")
			if !found {
				if before, ok := strings.CutSuffix(rest, "*"); ok {
					rest = before + captured["*"]
				}
				b.WriteString(rest)
				break
			}
			b.WriteString(before)
			end := closing(after)
			name, _, _ := strings.Cut(after[:end], ":")
			b.WriteString(captured[name])
			rest = after[min(end+1, len(after)):]
		}
		return b.String()
	}
}

// closing is where the brace is closed that was open before s.
func closing(s string) int {
	depth := 1
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '{':
			depth++
		case '}':
			depth--
		}
		if depth == 0 {
			return i
		}
	}
	return len(s)
}

// linkedPages adds the links to what the pool answers to reads.
func linkedPages(cfg *config.Config, r *config.Route, pages *paginate.Pages, pool http.RoundTripper) http.RoundTripper {
	if pages == nil || !r.Paginate.LinkHeader {
		return pool
	}
	plain := &plainOrigin{pool, maxDecoded * cfg.Cache.Memory.MaxObject}
	linked := &paginate.Linked{Pages: pages, Origin: plain}
	return byMethod{read: linked, write: pool}
}

// byMethod has an origin for reads, and one for the rest.
type byMethod struct{ read, write http.RoundTripper }

// RoundTrip goes by the method.
func (o byMethod) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodGet && len(req.Header["Upgrade"]) == 0 {
		return o.read.RoundTrip(req)
	}
	return o.write.RoundTrip(req)
}

// listTag is the tag that the pages of a list have in common.
func listTag(route, host, path string) string {
	sum := sha256.Sum256([]byte(host + path))
	return "list:" + route + ":" + hex.EncodeToString(sum[:12])
}

// tagPages gives all pages of a list the list's tag.
func tagPages(t *cache.Tags, route string) {
	others := t.Expand
	t.Expand = func(req *http.Request) []string {
		var tags []string
		if others != nil {
			tags = others(req)
		}
		return append(tags, listTag(route, req.Host, req.URL.EscapedPath()))
	}
}

// ahead has the pages fetched that follow one that is read; nil: the route asks for none.
func (l *live) ahead(r *config.Route, res *cache.Resource, pages *paginate.Pages) func(*http.Request, *url.URL) {
	if r.Paginate.Prefetch == 0 {
		return nil
	}
	return func(req *http.Request, u *url.URL) {
		l.prefetch.after(l.cache, res, pages, req, u, r.Paginate.Prefetch)
	}
}

// pagesHandler gives what asks for a page its one form, and tells ahead, which may be nil, of the page that follows.
func pagesHandler(pages *paginate.Pages, ahead func(*http.Request, *url.URL), next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodGet && req.Method != http.MethodHead {
			next.ServeHTTP(w, req)
			return
		}
		query, err := pages.Query(req.URL.RawQuery)
		if err != nil {
			ev := observe.FromContext(req.Context())
			ev.Status, ev.Err = http.StatusBadRequest, err
			edge.WriteError(w, req, http.StatusBadRequest, "", "the limit of a page is one positive number")
			return
		}
		req = withQuery(req, query)
		next.ServeHTTP(w, req)
		if ahead != nil && req.Method == http.MethodGet {
			if u, ok := paginate.Next(w.Header()); ok {
				ahead(req, u)
			}
		}
	})
}

// withQuery is req with another query.
func withQuery(req *http.Request, query string) *http.Request {
	if query == req.URL.RawQuery && !req.URL.ForceQuery {
		return req
	}
	u := *req.URL
	u.RawQuery, u.ForceQuery = query, false
	changed := *req
	changed.URL = &u
	return &changed
}
