package build

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/cache/entry"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/paginate"
	"github.com/penstock/penstock/proxy/rawjson"
	"github.com/penstock/penstock/proxy/route"
)

// compilePages returns the settings of a route's pages, or nil if the route has no pages.
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

// publicPath returns the function that rebuilds the client's path from the captured parameters,
// because a fill knows only the upstream's path.
func publicPath(pattern string) func(*http.Request) string {
	return func(req *http.Request) string {
		return route.Fill(pattern, observe.FromContext(req.Context()).Captured)
	}
}

// linkedPages adds the links between pages to the pool's responses to reads.
func (b *builder) linkedPages(r *config.Route, pages *paginate.Pages, pool http.RoundTripper) http.RoundTripper {
	if pages == nil || !r.Paginate.LinkHeader {
		return pool
	}
	plain := &plainOrigin{pool, maxDecoded * b.cfg.Cache.Memory.MaxObject}
	refused := &refusals{log: b.log, now: time.Now}
	pages.Name = b.name
	pages.Unread = func(_ *http.Request, why string) {
		refused.note("a page was not read, so it has no link to the next", "route", r.Name, "reason", why)
	}
	linked := &paginate.Linked{Pages: pages, Origin: plain}
	return byMethod{read: linked, write: pool}
}

// byMethod has one origin for reads, and one for other requests.
type byMethod struct{ read, write http.RoundTripper }

// RoundTrip chooses the origin by the method.
func (o byMethod) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodGet && len(req.Header["Upgrade"]) == 0 {
		return o.read.RoundTrip(req)
	}
	return o.write.RoundTrip(req)
}

// listTag returns the tag that the pages of a list share.
func listTag(name, host, path string) string {
	sum := sha256.Sum256([]byte(host + path))
	return "list:" + name + ":" + hex.EncodeToString(sum[:12])
}

// tagPages gives all pages of a list the list's tag.
func tagPages(t *entry.Tags, name string) {
	others := t.Expand
	t.Expand = func(req *http.Request) []string {
		var tags []string
		if others != nil {
			tags = others(req)
		}
		return append(tags, listTag(name, req.Host, req.URL.EscapedPath()))
	}
}

// ahead returns the function that fetches the pages that follow a page, or nil if the route does
// not prefetch.
func (s *State) ahead(r *config.Route, res *cache.Resource, pages *paginate.Pages) func(*http.Request, *url.URL) {
	if r.Paginate.Prefetch == 0 {
		return nil
	}
	return func(req *http.Request, u *url.URL) {
		s.prefetch.after(s.cache, res, pages, req, u, r.Paginate.Prefetch)
	}
}

// pagesHandler brings the query of a page into canonical form. If ahead is not nil, pagesHandler
// calls it with the URL of the next page.
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
			edge.WriteError(w, req, http.StatusBadRequest, "", err.Error())
			return
		}
		req = edge.WithQuery(req, query)
		next.ServeHTTP(w, req)
		if ahead != nil && req.Method == http.MethodGet {
			if u, ok := paginate.Next(w.Header()); ok {
				ahead(req, u)
			}
		}
	})
}
