package aggregate

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/cachepolicy"
)

// Answer is a part's response.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte        // without a content coding
	Fresh  time.Duration // remaining freshness; 0 or less if it is stale or the freshness is not known
	Shared bool          // true if the response may be shared by several clients
	Silent bool          // true if it may not be shared only because it has no explicit freshness
	Stale  bool          // true if a stored response is served because the origin fails
}

// reuse collects the restrictions that the parts put on the reuse of the whole. The zero value has
// none.
type reuse struct {
	fresh   time.Duration // the shortest freshness of the parts that have one
	known   bool          // some part has a freshness
	silent  bool          // some part has no explicit freshness
	private bool
	noStore bool
	noCache bool          // a part must be validated before each use
	age     int64         // seconds; the largest of the parts
	retry   time.Duration // the time after which a missing part may be requested again; 0 if all parts are there
	vary    []string      // canonical, sorted
	tags    []string
	tagged  map[string]bool // the set of tags
	tagSize int             // bytes of all tags
}

// These bounds are a stored response's limits for tags. addTags keeps one tag beyond them, so that
// the cache sees that there are more.
const (
	maxTags     = 1000
	maxTagsSize = 16 << 10
)

// isCredential reports whether a field identifies the client, so that a response to it may be
// personal without saying so.
func isCredential(name string) bool {
	return name == "Authorization" || name == "Cookie" || cachepolicy.IdentifiesUser(name)
}

// add takes a part's response into account. passed are the client's fields that the part was
// allowed to see.
func (u *reuse) add(a *Answer, passed http.Header, tagField string) {
	control := strings.ToLower(strings.Join(a.Header["Cache-Control"], ","))
	has := func(directive string) bool { return hasDirective(a, directive) }
	u.noStore = u.noStore || has("no-store")
	u.noCache = u.noCache || has("no-cache") && !strings.Contains(control, "no-cache=")
	for name := range passed {
		if isCredential(name) && !has("public") {
			u.private = true
		}
	}
	switch {
	case a.Shared:
		u.atMost(a.Fresh)
	case a.Silent:
		u.silent = true
	default:
		u.private = true
	}
	if age, err := strconv.ParseInt(strings.TrimSpace(a.Header.Get("Age")), 10, 32); err == nil {
		u.age = max(u.age, age)
	}
	u.varies(a.Header["Vary"], passed)
	for _, line := range a.Header[tagField] {
		u.addTags(line)
	}
}

// addTags adds the tags of a field line.
func (u *reuse) addTags(line string) {
	if u.tagged == nil {
		u.tagged = make(map[string]bool)
	}
	for tag := range strings.FieldsFuncSeq(line, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' }) {
		if len(u.tags) > maxTags || u.tagSize > maxTagsSize {
			return
		}
		if !u.tagged[tag] {
			u.tagged[tag] = true
			u.tags = append(u.tags, tag)
			u.tagSize += len(tag)
		}
	}
}

// addFailure takes into account that a part is missing or replaced. failed are the responses that
// could not be used. Like a response, a failure may depend on the fields that the part saw. If it
// saw a client's credentials, the failure is private to this client unless its response is public.
func (u *reuse) addFailure(failed []*Answer, passed http.Header, retry time.Duration) {
	u.missing(retry)
	public := len(failed) > 0
	for _, a := range failed {
		u.private = u.private || hasDirective(a, "private")
		u.varies(a.Header["Vary"], passed)
		public = public && hasDirective(a, "public")
	}
	for name := range passed {
		u.private = u.private || isCredential(name) && !public
	}
}

// hasDirective reports whether the response's Cache-Control has the directive.
func hasDirective(a *Answer, directive string) bool {
	for d := range strings.SplitSeq(strings.ToLower(strings.Join(a.Header["Cache-Control"], ",")), ",") {
		if name, _, _ := strings.Cut(strings.TrimSpace(d), "="); name == directive {
			return true
		}
	}
	return false
}

// atMost bounds the freshness.
func (u *reuse) atMost(fresh time.Duration) {
	if fresh = max(0, fresh); !u.known || fresh < u.fresh {
		u.fresh = fresh
	}
	u.known = true
}

// varies adds the fields of Vary that the part was allowed to see; all others are the same for all
// clients. If a part has Vary: *, so has the whole. A cache_control rule may override no-store, but
// it must not make a response shared that no request can select again.
func (u *reuse) varies(lines []string, passed http.Header) {
	for name := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		name = http.CanonicalHeaderKey(strings.TrimSpace(name))
		_, was := passed[name]
		switch {
		case name == "*":
			u.noStore, u.vary = true, []string{name}
			return
		case was && !slices.Contains(u.vary, name):
			u.vary = append(u.vary, name)
		}
	}
	slices.Sort(u.vary)
}

// missing takes into account that a part is missing and may be requested again after retry.
func (u *reuse) missing(retry time.Duration) {
	if u.retry == 0 || retry < u.retry {
		u.retry = retry
	}
}

// control returns the Cache-Control of the whole, or "" if no part has explicit freshness.
// silentTTL is the lifetime of a response without explicit freshness. authorized is true if the
// client sent Authorization, which the parts need not have seen (RFC 9111 §3.5).
func (u *reuse) control(silentTTL time.Duration, authorized bool) string {
	switch {
	case u.noStore:
		return "no-store"
	case u.private:
		return "private, no-cache"
	case u.noCache:
		return "no-cache" // with a lifetime, even an expired one, the route's stale windows could serve it
	}
	w := *u
	if w.silent && w.known || w.silent && w.retry > 0 {
		w.atMost(silentTTL)
	}
	if w.retry > 0 {
		w.atMost(w.retry)
	}
	if !w.known {
		return ""
	}
	// Age counts from the time of the oldest part, so the lifetime must too (RFC 9111 §4.2).
	control := "max-age=" + strconv.FormatInt(w.age+int64(w.fresh/time.Second), 10)
	if authorized {
		control += ", public"
	}
	return control
}
