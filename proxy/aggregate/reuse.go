package aggregate

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Answer is a part's response.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte        // without a content coding
	Fresh  time.Duration // how long it stays fresh; 0 or less: it is stale, or that is not known
	Shared bool          // it may answer others than the one it was asked for
	Silent bool          // it may not, only because it says nothing of how long
	Stale  bool          // it was stored, and is served because the origin fails
}

// reuse is what follows from the parts for the reuse of the whole. The zero value is that of no parts.
type reuse struct {
	fresh   time.Duration // the shortest of those that say something
	known   bool          // one says something
	silent  bool          // one says nothing
	private bool
	noStore bool
	age     int64         // seconds; the largest
	retry   time.Duration // a part is missing, and is to be asked for again after this; 0: none is
	vary    []string      // canonical, sorted
	tags    []string
}

// credentials are the fields by which an answer is one client's, whether it says so or not.
var credentials = []string{"Authorization", "Cookie"}

// add takes an answer into account that was asked for with the given fields of the client's.
func (u *reuse) add(a *Answer, passed http.Header, tagField string) {
	control := strings.ToLower(strings.Join(a.Header["Cache-Control"], ","))
	has := func(directive string) bool {
		for d := range strings.SplitSeq(control, ",") {
			if name, _, _ := strings.Cut(strings.TrimSpace(d), "="); name == directive {
				return true
			}
		}
		return false
	}
	u.noStore = u.noStore || has("no-store")
	for _, name := range credentials {
		if len(passed[name]) > 0 && !has("public") {
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
	for tag := range strings.FieldsFuncSeq(strings.Join(a.Header[tagField], " "), func(r rune) bool { return r == ' ' || r == ',' || r == '\t' }) {
		if !slices.Contains(u.tags, tag) {
			u.tags = append(u.tags, tag)
		}
	}
}

// atMost bounds the freshness.
func (u *reuse) atMost(fresh time.Duration) {
	if fresh = max(0, fresh); !u.known || fresh < u.fresh {
		u.fresh = fresh
	}
	u.known = true
}

// varies adds the fields that the answer varies on, as far as they were the client's: the others are the same for all.
func (u *reuse) varies(lines []string, passed http.Header) {
	for name := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		name = http.CanonicalHeaderKey(strings.TrimSpace(name))
		_, was := passed[name]
		switch {
		case name == "*":
			u.noStore = true
		case was && !slices.Contains(u.vary, name):
			u.vary = append(u.vary, name)
		}
	}
	slices.Sort(u.vary)
}

// missing takes into account that a part is not there, and may be asked for again after retry.
func (u *reuse) missing(retry time.Duration) {
	if u.retry == 0 || retry < u.retry {
		u.retry = retry
	}
}

// control is the Cache-Control of the whole. silentTTL is how long an answer is fresh that says nothing; authorized tells that the client's request
// has Authorization, which no part needs to have seen (RFC 9111 §3.5). "": the whole says nothing either.
func (u *reuse) control(silentTTL time.Duration, authorized bool) string {
	switch {
	case u.noStore:
		return "no-store"
	case u.private:
		return "private, no-cache"
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
	// Age counts from when the oldest part was made, and so must the lifetime (RFC 9111 §4.2).
	control := "max-age=" + strconv.FormatInt(w.age+int64(w.fresh/time.Second), 10)
	if authorized {
		control += ", public"
	}
	return control
}
