package build

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/config"
)

// A rule of a route may apply when a response is stored, and not when it is delivered. Each such
// rule is part of a fingerprint. After a reload, or on an instance with another configuration, the
// fingerprints tell which responses were stored under other rules. Instances with the same
// configuration have the same fingerprints.

// headRules returns the fingerprint of the rules that determine the requested resource or write the
// head or content of the response. It is "" if the route has no such rule. A response that was
// stored under other rules is fetched again. headers.request does not count, so that instances can
// name themselves to the origin and still share responses.
func headRules(r *config.Route) string {
	made := headParts{
		r.Headers.Response, r.CacheControl, r.Errors, r.Cache.Tags.From, r.Cache.Tags.Send, r.Aggregate, r.Batch, r.Paginate, r.Rewrite, 0, r.CORS != nil,
	}
	if r.Aggregate != nil {
		made.SilentTTL = r.Cache.TTL.Default // the default is written into the Cache-Control of the whole
	}
	if text := written(made); text != written(headParts{}) {
		return digest(text + r.Cache.Tags.Header)
	}
	return ""
}

type headParts struct {
	Response     config.FieldOps
	CacheControl []config.CacheControlRule
	Errors       []config.ErrorPage
	TagsFrom     []string
	TagsSend     bool
	Aggregate    *config.Aggregate
	Batch        *config.Batch
	Paginate     *config.Paginate
	Rewrite      config.Rewrite
	SilentTTL    time.Duration
	// CORS is true if the origin server's fields of the CORS protocol are removed. The gateway's own
	// are written at each delivery.
	CORS bool `json:",omitempty"`
}

// wordRules returns the fingerprint of the rules that may declare a response reusable in the
// origin's place. It is "" if the route has no such rule. A response that was stored under other
// rules of this kind answers no request, even if the origin fails.
func wordRules(r *config.Route) string {
	if len(r.CacheControl) == 0 {
		return ""
	}
	return digest(written(r.CacheControl))
}

// lifeRules returns the fingerprint of the rules that determine a response's lifetime and the
// codings that can be made of it. A response that was stored under other rules is judged by the
// present rules at its next lookup. ttl.jitter does not count, because a stored lifetime keeps the
// share by which it was shortened.
func lifeRules(r *config.Route) string {
	compress := config.Compress{}
	if r.Compress.Enabled {
		compress = config.Compress{Enabled: true, Encodings: r.Compress.Encodings, MinSize: r.Compress.MinSize, Types: r.Compress.Types}
	}
	t := r.Cache.TTL
	return digest(written([]any{t.Default, t.Min, t.Max, t.Status, r.Cache.StaleWhileRevalidate, r.Cache.StaleIfError, compress}))
}

// partLifeRules is lifeRules for a part of an aggregate.
func partLifeRules(r *config.Route, p *config.Part) string {
	return digest(written([]any{p.TTL, r.Cache.StaleWhileRevalidate, p.OnError == config.OnErrorStale}))
}

// sharingRules returns the fingerprint of the rules that determine which clients may share a
// response. It is "" if the route has the defaults. It is part of the key, so a response that was
// stored under other rules answers no request, even if the origin fails.
func sharingRules(r *config.Route) string {
	c := &r.Cache
	made := sharingParts{cookieMode(r), slices.Sorted(slices.Values(c.IgnoreCookies)), c.SetCookie, c.Authorization == config.AuthorizationNever, c.IgnoreOrigin, changedCredentials(r), r.Auth != nil}
	if text := written(made); text != written(sharingParts{SetCookie: config.SetCookiePass}) {
		return digest(text)
	}
	return ""
}

type sharingParts struct {
	Cookies       cachepolicy.CookieMode
	IgnoreCookies []string
	SetCookie     config.SetCookie
	Never         bool // authorization
	IgnoreOrigin  bool
	Credentials   []string
	Auth          bool // each request has a credential
}

// changedCredentials returns the fields that identify a client and that the route's origins do not
// receive as the client sent them. For an aggregate it returns the identifying fields that a part
// does receive.
func changedCredentials(r *config.Route) (names []string) {
	var fields []string
	if r.Aggregate != nil {
		for _, p := range r.Aggregate.Parts {
			fields = append(fields, p.Headers...)
		}
	} else {
		fields = slices.AppendSeq(slices.Clone(r.Headers.Request.Remove), maps.Keys(r.Headers.Request.Set))
	}
	for _, name := range fields {
		if (name == "Cookie" || name == "Authorization" || cachepolicy.IdentifiesUser(name)) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if r.Auth != nil && r.Auth.APIKeys != nil && !r.Auth.ForwardCredentials && r.Auth.APIKeys.Header != "" && !slices.Contains(names, r.Auth.APIKeys.Header) {
		names = append(names, r.Auth.APIKeys.Header)
	}
	if r.Auth != nil && r.Auth.JWT != nil && !r.Auth.ForwardCredentials && !slices.Contains(names, "Authorization") {
		names = append(names, "Authorization")
	}
	slices.Sort(names)
	return names
}

// written returns a value of the configuration as text.
func written(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%+v", v) // no value in it can fail to be written; if one did, the rules would count as changed
	}
	return string(text)
}

// digest returns a digest of text that is short enough to be stored with each response.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:5])
}
