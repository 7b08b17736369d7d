package config

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestPrintProperty checks Parse(Print(c)) == c for any Config.
func TestPrintProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := new(Config)
		c.setDefaults()
		draw(t, reflect.ValueOf(c).Elem(), column{})
		agree(c)
		checkPrint(t, c)
	})
}

// textSamples holds values of each kind of text in canonical form, including odd ones.
var textSamples = map[string][]string{
	"name":           {"a", "users-v2", "x.y_z"},
	"address":        {"127.0.0.1:1", "[::1]:2", ":3", "localhost:0"},
	"admin_address":  {"127.0.0.1:9", "unix:/run/penstock.sock", "[::1]:8"},
	"token":          {"", "s3cr3t", "$$", "${A}", "#", "yes", "1", "!x", "*a", "&b", "{", "a:b", "~"},
	"file":           {"a.pem", "/etc/ssl/$HOME/${x}.pem", " spaced ", "null"},
	"host":           {"", "a.example", "*.example.com", "127.0.0.1"},
	"pattern":        {"/", "/*", "/a/{id}", "/a/{id:[0-9]{2,3}$}/b", "/a%20b"},
	"method":         {"GET", "PUT", "M-SEARCH", "NULL"},
	"cors_origin":    {"https://a.example", "https://*.a.example:8443", "http://[::1]:5173", "capacitor://localhost"},
	"cors_method":    {"GET", "PUT"},
	"cors_header":    {"X-A", "Authorization"},
	"cors_expose":    {"X-A", "No"},
	"key_field":      {"", "X-Shop-Key", "Null"},
	"key_param":      {"", "api_key", "~"},
	"api_key":        {"", "s3cr3t", "$$", "${A}", "#", "yes", "1"},
	"jwks_url":       {"https://idp.example/jwks", "http://127.0.0.1:1/?a=${b}"},
	"claim":          {"a", "a b", "https://a.example/", "~", "null"},
	"jwt_algorithm":  {"RS256", "EdDSA"},
	"sha256":         {"", "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"},
	"prefix":         {"", "/a", "/a/b"},
	"template":       {"", "/x"},
	"serve":          {"", "/index.html"},
	"part":           {"a", "_", "x-1"},
	"part_path":      {"/x?y={query.z}"},
	"json_path":      {""},
	"cache_control":  {"no-store", "public, max-age=5", `private="a, b", x=1`},
	"extension":      {"css", "7z", "true"},
	"media_range":    {"text/*", "application/json", "application/*+json"},
	"field":          {"X-A", "1", "No", "~"},
	"editable_field": {"X-A", "Server", "Null", "7"},
	"field_value":    {"", "a", "a: b", "# no", "'q\"", "ü€", "1e3", "$${{x}}", "{scheme}", "- a", "a\tb", "%", "@", "off"},
	"cookie":         {"id", "a$b", "~", "0x1F"},
	"glob":           {"*", "utm_*", "a b", "yes", "\u2028", "[x]"},
	"query_param":    {"limit", "page[size]", "~"},
	"tag":            {"user:{id}", "yes", "~"},
	"order_key":      {"{x}", "all"},
	"write_target":   {"/a", "tag:x", "/a?b=c"},
	"redis_url":      {"redis://127.0.0.1:6379/0", "rediss+cluster://u:p@h:1,h2:2"},
	"otlp_endpoint":  {"http://127.0.0.1:4318", "https://a.example/otlp", "grpc://127.0.0.1:4317", "grpcs://a.example:4317"},
	"content_type":   {"", "text/html; charset=utf-8"},
	"currency":       {"USD", "EUR"},
	"state_file":     {"", "cost.json", "/var/lib/$x"},
	"webhook":        {"", "https://h.example/a?b=${c}"},
}

// freeText draws texts without a kind.
var freeText = []string{"", "x", "two words", "line\nbreak\n\n", " lead", "trail ", "\ttab", "é\u0085\u2028", "${X:-y}", "- a", "? b", "null", "0o7", "a #b", "\x7f\x01"}

// draw fills a value with any content that Parse accepts for it alone.
func draw(t *rapid.T, v reflect.Value, c column) {
	if drawScalar(t, v, c) {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if rapid.Bool().Draw(t, "nil") && v.IsNil() {
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		setDefaults(v.Elem())
		draw(t, v.Elem(), c)
	case reflect.Slice:
		drawList(t, v, c)
	case reflect.Map:
		drawMap(t, v, c)
	case reflect.Struct:
		for _, c := range columns(v.Type()) {
			if c.required || rapid.Bool().Draw(t, c.key) {
				draw(t, v.Field(c.index), c)
			}
		}
	}
}

// drawScalar fills a single value. It reports false for other values.
func drawScalar(t *rapid.T, v reflect.Value, c column) bool {
	pick := func(words []string) string { return rapid.SampledFrom(words).Draw(t, "word") }
	switch {
	case v.Type() == jsonType:
		v.SetString(pick([]string{`1.50`, `"a: b $$"`, `[]`, `{"a b":[null,true,"null","1",{}],"é\u0001":"\u2028"}`, `null`, `"~"`}))
	case v.Type() == urlType:
		scheme := pick([]string{"http", "https"})
		v.Set(reflect.ValueOf(&url.URL{Scheme: scheme, Host: pick([]string{"a", "b:1", "[::1]:80", "127.0.0.1:65535"})}))
	case v.Type() == prefixType:
		v.Set(reflect.ValueOf(netip.MustParsePrefix(pick([]string{"10.0.0.0/8", "::/0", "192.0.2.1/32"}))))
	case v.Type() == hashOnType:
		v.Set(reflect.ValueOf(HashOn{HashSource(pick([]string{"header", "cookie"})), "X"}))
	case v.Type() == rateType:
		v.Set(reflect.ValueOf(Rate{rapid.IntRange(1, 1_000_000).Draw(t, "requests"), oneOf(t, time.Second, time.Minute, time.Hour, 24*time.Hour)}))
	case v.Type() == rateByType:
		v.Set(reflect.ValueOf(oneOf(t, RateBy{Source: RateByClientIP}, RateBy{Source: RateByRoute}, RateBy{RateByHeader, "X"})))
	case v.Type() == durationType:
		v.SetInt(rapid.Int64Range(1_000_000, 1<<60).Draw(t, "duration"))
	case c.only != "":
		v.SetBool(c.only == "true")
	case c.enum != nil && v.Kind() == reflect.String:
		v.SetString(pick(c.enum))
	case c.enum != nil && v.Kind() == reflect.Int:
		n, _ := strconv.Atoi(pick(c.enum))
		v.SetInt(int64(n))
	case v.Kind() == reflect.String && c.as != "":
		v.SetString(pick(textSamples[c.as]))
	case v.Kind() == reflect.String:
		v.SetString(pick(freeText))
	case v.Kind() == reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case v.CanInt():
		low, high := intBound(c.min, 0), intBound(c.max, 1<<31-1)
		v.SetInt(rapid.Int64Range(low, high).Draw(t, "int"))
	case v.CanFloat():
		v.SetFloat(rapid.Float64Range(0, 1).Draw(t, "float"))
	default:
		return false
	}
	return true
}

// oneOf draws one of values.
func oneOf[T any](t *rapid.T, values ...T) T { return rapid.SampledFrom(values).Draw(t, "value") }

func intBound(s string, otherwise int64) int64 {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n
	}
	return otherwise
}

// drawList draws one to three different elements.
func drawList(t *rapid.T, v reflect.Value, c column) {
	v.SetZero()
	for range rapid.IntRange(1, 3).Draw(t, "length") {
		e := reflect.New(v.Type().Elem()).Elem()
		if e.Kind() == reflect.Pointer {
			e.Set(reflect.New(e.Type().Elem()))
		} else if e.Kind() == reflect.Struct && scalarOf(e.Type(), c) == nil {
			setDefaults(e)
		}
		draw(t, e, c)
		for i := range v.Len() {
			if e.Comparable() && e.Kind() != reflect.Pointer && e.Interface() == v.Index(i).Interface() {
				return
			}
		}
		v.Set(reflect.Append(v, e))
	}
}

func drawMap(t *rapid.T, v reflect.Value, c column) {
	v.Set(reflect.MakeMap(v.Type()))
	for range rapid.IntRange(1, 3).Draw(t, "length") {
		key := reflect.New(v.Type().Key()).Elem()
		draw(t, key, column{as: c.keyAs, min: c.min, max: c.max})
		e := reflect.New(v.Type().Elem()).Elem()
		if e.Kind() == reflect.Pointer {
			e.Set(reflect.New(e.Type().Elem()))
		}
		draw(t, e, column{as: c.as})
		v.SetMapIndex(key, e)
	}
}

// agree changes the values that would contradict others.
func agree(c *Config) {
	if len(c.Server.Listen) == 0 {
		c.Server.Listen = []Listener{defaultListener()}
	}
	for i := range c.Server.Listen {
		l := &c.Server.Listen[i]
		l.Address = fmt.Sprintf("127.0.0.1:%d", 1000+i)
		l.H2C = l.H2C && l.TLS == nil
	}
	c.Server.TrustedProxies = append(c.Server.TrustedProxies, netip.MustParsePrefix("203.0.113.0/24")) // for require_https
	c.Cost.agree()
	m := &c.Cache.Memory
	m.MaxObject = min(m.MaxObject, m.Size)
	if r := c.Cache.Redis; r != nil && r.MaxCutOff < minCutOff {
		r.MaxCutOff = 0
	}
	c.Writes.MaxBody = min(c.Writes.MaxBody, c.Writes.Size)
	if c.Writes.Path == "" {
		c.Writes.Path = "writes.db"
	}
	for _, r := range c.Routes {
		agreeTiers(r, c.Cache.Redis != nil)
	}
	for name, u := range c.Upstreams {
		u.Name = name
		u.agree()
	}
	for i, r := range c.Routes {
		r.Name = fmt.Sprintf("r%d", i)
		for name := range c.Upstreams {
			r.Upstream = name
		}
		if p := c.Upstreams[r.Upstream].Protocol; p == ProtocolH2 || p == ProtocolH2C {
			r.Upgrade = UpgradeOff
		}
		r.agree(i, c.Cache.Redis != nil)
	}
}

func (c *Cost) agree() {
	if c == nil {
		return
	}
	c.EgressPerGB = max(c.EgressPerGB, 1)
	if b := c.Budget; b != nil {
		b.Monthly = max(b.Monthly, 1)
		for i := range b.AlertAt {
			b.AlertAt[i] = max(b.AlertAt[i], 0.01)
		}
		slices.Sort(b.AlertAt)
		b.AlertAt = slices.Compact(b.AlertAt)
	}
}

func (u *Upstream) agree() {
	if u.Balance != BalanceHash {
		u.HashOn = HashOn{}
	} else if u.HashOn == (HashOn{}) {
		u.HashOn = HashOn{Source: HashClientIP}
	}
	scheme := map[Protocol]string{ProtocolH2: "https", ProtocolH2C: "http"}[u.Protocol]
	if u.TLS != (UpstreamTLS{}) && scheme == "" {
		scheme = "https"
	}
	if scheme == "http" {
		u.TLS = UpstreamTLS{}
	}
	if u.TLS.InsecureSkipVerify {
		u.TLS.CA = ""
	}
	for i := range u.Targets {
		target := &u.Targets[i]
		if scheme != "" {
			target.URL.Scheme = scheme
		}
		target.URL.Host = fmt.Sprintf("h%d", i)
	}
	if u.Pool.Max > 0 {
		u.Pool.Min = min(u.Pool.Min, u.Pool.Max)
	}
}

// agree gives the auth of a route keys that are different and of one kind.
func (a *Auth) agree(r *Route) {
	if a.All = a.All && a.JWT != nil; a.JWT != nil {
		a.JWT.Leeway = min(a.JWT.Leeway, 5*time.Minute)
		maps.DeleteFunc(a.JWT.Claims, func(_ string, values []string) bool { return len(values) == 0 })
		if len(a.JWT.Claims) == 0 {
			a.JWT.Claims = nil
		}
	}
	if a.APIKeys == nil {
		a.APIKeys = new(APIKeys)
		a.APIKeys.setDefaults()
	}
	if a.APIKeys.Header == "" {
		a.APIKeys.Query, a.ForwardCredentials = "k", false
	}
	if len(a.APIKeys.Keys) == 0 {
		a.APIKeys.File = "keys.txt"
	}
	for i := range a.APIKeys.Keys {
		key := &a.APIKeys.Keys[i]
		key.Name = fmt.Sprintf("k%d", i)
		if key.SHA256 != "" {
			key.Key, key.SHA256 = "", fmt.Sprintf("%064x", i)
		} else {
			key.Key = fmt.Sprintf("%d!%s", i, key.Key)
		}
	}
	without := func(fields []string) []string {
		var kept []string
		for _, name := range fields {
			if name != a.APIKeys.Header && name != "Authorization" {
				kept = append(kept, name)
			}
		}
		return kept
	}
	r.Cache.Key.Headers = without(r.Cache.Key.Headers)
	if r.Aggregate != nil {
		for _, p := range r.Aggregate.Parts {
			p.Headers = without(p.Headers)
		}
	}
	if r.Paginate != nil {
		r.Paginate.Prefetch = 0
	}
}

func (r *Route) agree(i int, redis bool) {
	r.Match.Path = fmt.Sprintf("/a/b/%d%s", i, r.Match.Path)
	if len(r.Allow.DenyIPs) > 0 {
		r.Allow.IPs = nil
	}
	if len(r.Allow.DenyFiles) > 0 {
		r.Allow.Files = nil
	}
	if l := r.RateLimit; l != nil {
		l.Burst = min(max(l.Burst, 1), int(maxRefill/l.Rate.Every()))
		l.Shared = l.Shared && redis
	}
	if r.Auth != nil {
		r.Auth.agree(r)
	}
	if r.Rewrite.Path != "" {
		r.Rewrite.StripPrefix, r.Rewrite.AddPrefix = "", ""
	}
	if r.Cache.Cookies == CookiesIgnore {
		r.Cache.IgnoreCookies = nil
	}
	if ttl := &r.Cache.TTL; ttl.Max > 0 {
		ttl.Min = min(ttl.Min, ttl.Max)
	}
	r.Coalesce.Enabled = r.Coalesce.Enabled && r.Cache.Enabled
	if r.Upgrade == UpgradeWebSocket {
		r.Match.Methods = nil
	}
	r.Writes.agree(r.Cache.Enabled)
	seen := map[int]bool{}
	var pages []ErrorPage
	for _, e := range r.Errors {
		switch {
		case e.Serve != "":
			e.Body, e.ContentType = "", ""
		case e.Body == "":
			e.Body = "x"
		}
		if e.Body != "" && e.ContentType == "" {
			e.ContentType = "text/plain"
		}
		if !r.Cache.Enabled {
			e.CacheFor = 0
		}
		fresh := true
		for _, s := range e.Status {
			fresh = fresh && !seen[s]
			seen[s] = true
		}
		if fresh {
			pages = append(pages, e)
		}
	}
	r.Errors = pages
	if r.Batch != nil {
		r.agreeBatch(i)
	}
	if r.Paginate != nil {
		r.agreePages()
	}
	if r.Aggregate != nil {
		r.agreeParts()
	}
	if c := r.CORS; c != nil {
		c.MaxAge = min(c.MaxAge.Truncate(time.Second), 24*time.Hour)
		c.Methods = slices.DeleteFunc(c.Methods, func(m string) bool { return !allows(r.Match.Methods, m) })
		if len(c.Methods) == 0 {
			c.Methods = nil
		}
	}
}

// agreeParts removes the settings that an aggregate route can't have.
func (r *Route) agreeParts() {
	for i, name := range slices.Sorted(maps.Keys(r.Aggregate.Parts)) {
		p := r.Aggregate.Parts[name]
		p.Order, p.Upstream, p.Limit, p.MaxBody = i, r.Upstream, max(p.Limit, 1), max(p.MaxBody, 1)
		switch {
		case p.OnError != OnErrorDefault:
			p.Default = ""
		case p.Default == "" || r.Aggregate.Merge == MergeDeep:
			p.Default = "{}"
		}
		p.Path, p.Batch = cmp.Or(p.Path, "/"), ""
	}
	r.agreeWithoutUpstream()
}

// agreePages removes the settings that paginate can't have.
func (r *Route) agreePages() {
	p := r.Paginate
	if r.Aggregate != nil || r.Batch != nil || p.Limit == nil && p.Cursor == nil {
		r.Paginate = nil
		return
	}
	if p.Limit != nil {
		p.Limit.Default = min(p.Limit.Default, p.Limit.Max)
	}
	if p.Cursor != nil {
		p.Cursor.Param, p.Cursor.Next = "cursor", cmp.Or(p.Cursor.Next, "next")
	}
	p.LinkHeader = p.LinkHeader && p.Cursor != nil
	if !p.LinkHeader || !r.Cache.Enabled {
		p.Prefetch = 0
	}
}

// agreeBatch removes the settings that a batch route can't have, unless it is an aggregate.
func (r *Route) agreeBatch(i int) {
	if r.Aggregate != nil {
		r.Batch = nil
		return
	}
	b := r.Batch
	b.Upstream, b.Path, b.Key = r.Upstream, "/x?ids={ids}", cmp.Or(b.Key, "id")
	r.Match.Path = fmt.Sprintf("/a/b/%d/x/{id}", i)
	r.agreeWithoutUpstream()
}

// agreeWithoutUpstream removes the settings that need the route's own upstream.
func (r *Route) agreeWithoutUpstream() {
	r.Upstream, r.Rewrite, r.Match.Methods, r.Upgrade = "", Rewrite{}, nil, UpgradeOff
	for i := range r.Errors {
		r.Errors[i].Serve = ""
		r.Errors[i].Body = cmp.Or(r.Errors[i].Body, "x")
		r.Errors[i].ContentType = cmp.Or(r.Errors[i].ContentType, "text/plain")
	}
}

// agree replaces policies that the route can't have.
func (w *Writes) agree(cached bool) {
	if !cached {
		w.Policy = WriteInvalidate
	}
	if w.Policy != WriteThrough {
		w.Refresh = RefreshRefetch
	}
	if w.OrderBy = strings.NewReplacer("{", "", "}", "").Replace(w.OrderBy); w.Policy != WriteBehind {
		w.OrderBy, w.RetryOn = "", nil
	}
	w.Queue.Backoff = min(w.Queue.Backoff, w.Queue.MaxBackoff)
	w.Queue.CacheBody = false // which methods there are is another matter
}

// agreeTiers removes tiers that are not configured, shared calls without a shared tier, and
// template variables without a capture.
func agreeTiers(r *Route, redis bool) {
	r.Cache.Tiers = slices.DeleteFunc(r.Cache.Tiers, func(t Tier) bool { return t == TierRedis && !redis })
	if len(r.Cache.Tiers) == 0 {
		r.Cache.Tiers = []Tier{TierMemory}
	}
	r.Coalesce.AcrossInstances = r.Coalesce.AcrossInstances && slices.Contains(r.Cache.Tiers, TierRedis)
	for i, tag := range r.Cache.Tags.From {
		r.Cache.Tags.From[i] = strings.NewReplacer("{", "", "}", "").Replace(tag)
	}
}
