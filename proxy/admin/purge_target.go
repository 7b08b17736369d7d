package admin

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/route"
	"github.com/penstock/penstock/proxy/store"
)

const maxPurgeTargets = 1000

// aim collects the targets of a request and its mistakes.
type aim struct {
	router  *route.Router
	host    string // of paths; "" if the request names no host
	targets []store.Target
	errs    []error
}

// targets turns the words of a request into targets, or returns all mistakes in them as one error.
func (r *purgeRequest) targets(rt *route.Router) ([]store.Target, error) {
	a := &aim{router: rt}
	hosts := a.takeHost(r)
	a.each("url", r.URL, a.url)
	a.each("prefix", r.Prefix, a.prefix)
	a.each("tag", r.Tag, a.tag)
	a.each("host", hosts, a.wholeHost)
	a.each("route", r.Route, a.route)
	if r.All {
		a.all()
	}
	switch {
	case len(a.errs) > 0:
	case len(a.targets) == 0:
		a.errs = append(a.errs, errors.New("nothing to purge is named: give url, prefix, tag, host, route or all"))
	case len(a.targets) > maxPurgeTargets:
		a.errs = append(a.errs, fmt.Errorf("%d targets are too many for one purge, which takes %d: send several", len(a.targets), maxPurgeTargets))
	}
	return a.targets, errors.Join(a.errs...)
}

// takeHost notes the host to which paths belong, and returns the hosts that are targets of their
// own.
func (a *aim) takeHost(r *purgeRequest) []string {
	isPath := func(s string) bool { return strings.HasPrefix(s, "/") }
	if !slices.ContainsFunc(r.URL, isPath) && !slices.ContainsFunc(r.Prefix, isPath) || len(r.Host) == 0 {
		return r.Host
	}
	if len(r.Host) > 1 {
		a.errs = append(a.errs, errors.New("host: a path can be of one host only; send a purge for each, or write the host before the path"))
		return nil
	}
	a.host = r.Host[0]
	return nil
}

// each adds a target for each value, and puts the name of the field into errors.
func (a *aim) each(field string, values []string, add func(string) error) {
	for _, v := range values {
		if err := add(v); err != nil {
			a.errs = append(a.errs, fmt.Errorf("%s: %.200q: %w", field, v, err))
		}
	}
}

func (a *aim) add(targets ...store.Target) error {
	for _, t := range targets {
		if err := t.Check(); err != nil {
			return err
		}
		if !slices.Contains(a.targets, t) {
			a.targets = append(a.targets, t)
		}
	}
	return nil
}

func (a *aim) all() {
	if len(a.targets) > 0 {
		a.errs = append(a.errs, errors.New("all: it leaves nothing to name beside it; leave the other targets out, or all"))
	}
	a.targets = append(a.targets, store.Target{Kind: store.TargetAll})
}

func (a *aim) tag(tag string) error {
	if tag == "" || len(tag) > store.MaxTagBytes || strings.ContainsAny(tag, " ,\t\r\n") {
		return fmt.Errorf("a tag has 1 to %d bytes without spaces and commas; several tags make a list", store.MaxTagBytes)
	}
	return a.add(store.Target{Kind: store.TargetTag, Value: tag})
}

func (a *aim) route(name string) error {
	if a.router.Named(name) == nil {
		return errors.New("the running configuration has no route of this name")
	}
	return a.add(store.Target{Kind: store.TargetRoute, Value: name})
}

// wholeHost takes a host in the canonical form of either scheme: example.com:443 is example.com
// over https, and another authority over http.
func (a *aim) wholeHost(host string) error {
	spellings, err := spell(host)
	for _, s := range spellings {
		if err == nil {
			err = a.add(store.Target{Kind: store.TargetHost, Value: s})
		}
	}
	return err
}

// spell returns the canonical forms of a host whose scheme is not known.
func spell(host string) ([]string, error) {
	var forms []string
	for _, scheme := range [...]string{"https", "http"} {
		form, err := edge.CanonicalHost(host, scheme)
		if err != nil {
			return nil, fmt.Errorf("%w; write it as in example.com or example.com:8443, international names in ASCII form", err)
		}
		if !slices.Contains(forms, form) {
			forms = append(forms, form)
		}
	}
	return forms, nil
}

// place is a path and a query on a host. hosts has the host's canonical forms, and is empty for all
// hosts.
type place struct {
	hosts       []string
	path, query string
}

// url aims at all objects of a URL. Their keys may hold more than the URL (the route, the scheme,
// header fields, cookies), so the API can't name them one by one. The URL's scheme makes no
// difference: whether the gateway sees http or https depends on the TLS terminator in front of it,
// and an operator who purges a page means the page.
func (a *aim) url(s string) error {
	p, err := a.locate(s)
	if err != nil {
		return err
	}
	if len(p.hosts) == 0 {
		return errors.New("it is no absolute URL; write https://example.com/path, or give host beside a path")
	}
	for _, host := range p.hosts {
		for _, path := range route.Forms(p.path) {
			if err := a.urlOf(host, path, p.query); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *aim) urlOf(host, path, query string) error {
	for _, query := range a.router.KeyQueries(host, path, query) {
		if err := a.add(store.URLTarget(host, path, query)); err != nil {
			return err
		}
	}
	return nil
}

// prefix aims at all paths that begin with s.
func (a *aim) prefix(s string) error {
	if strings.HasSuffix(s, "*") {
		return fmt.Errorf("a prefix is no pattern: leave the * out (one that is really in the path is written %%2A)")
	}
	if !strings.HasPrefix(s, "/") && !strings.Contains(s, "://") {
		s = "https://" + s // the scheme affects only the form of a default port
	}
	p, err := a.locate(s)
	if err != nil {
		return err
	}
	if p.query != "" {
		return errors.New("a prefix is of the path alone and has no query")
	}
	if len(p.hosts) == 0 {
		p.hosts = []string{""}
	}
	for _, host := range p.hosts {
		for _, path := range route.Forms(p.path) {
			if err := a.add(store.Target{Kind: store.TargetPrefix, Value: host + path}); err != nil {
				return err
			}
		}
	}
	return nil
}

// locate reads an absolute URL, or a path of the request's host.
func (a *aim) locate(s string) (p place, err error) {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == 0x7f {
			return p, errors.New("it holds characters that must be escaped")
		}
	}
	s, _, _ = strings.Cut(s, "#") // clients never send the fragment
	if strings.HasPrefix(s, "/") {
		p.path, p.query, _ = strings.Cut(s, "?")
		if a.host != "" {
			p.hosts, err = spell(a.host)
		}
	} else {
		p, err = locateURL(s)
	}
	if err == nil {
		p.path, err = edge.CanonicalPath(p.path)
	}
	return p, err
}

func locateURL(s string) (p place, err error) {
	u, err := url.Parse(s)
	if err != nil {
		return p, errors.New("it is no URL")
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return p, errors.New("it is no absolute URL with http or https and without user name; write https://example.com/path, or give host beside a path")
	}
	host, err := edge.CanonicalHost(u.Host, u.Scheme)
	return place{hosts: []string{host}, path: u.EscapedPath(), query: u.RawQuery}, err
}
