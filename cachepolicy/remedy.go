package cachepolicy

import (
	"math"
	"net/http"
	"time"
)

// Fix is a change that takes one obstacle to caching out of the way.
type Fix uint8

const (
	FixNone       Fix = iota // there is none
	FixEnable                // give the route a cache
	FixBody                  // the client sends no content with its GET
	FixUpgrade               // the client does not ask for another protocol
	FixKeyAuth               // make Authorization a part of the key
	FixIgnoreAsk             // do not hear the client's directives
	FixCookie                // take Set-Cookie out of what is stored
	FixVary                  // take Vary out of the response
	FixTTLDefault            // name a lifetime where the origin names none
	FixTTLStatus             // name a lifetime for the status
	FixTTLMin                // lift the origin's lifetime
	FixOverride              // write Cache-Control in place of the origin's
	FixIgnoreSays            // let only the rules' lifetimes count
	fixEnd
)

// suggestedTTL is the lifetime that remedies try, where the rules allow so much.
const suggestedTTL = time.Minute

// Remedy is an obstacle to answering q's like from the cache, and what takes it out of the way.
type Remedy struct {
	Reason Reason
	Fix    Fix
	TTL    time.Duration // of those fixes that name a lifetime
}

// Remedies says what would have to change for a GET like q, answered with a, to be stored and served fresh to the next that asks the same: the obstacles in
// the order in which they are met, each found by Key, Settle and Decide themselves after those before it were taken away. whole is false where the last of
// them can't be. With none of them, and whole, it is cached as it is.
func (r *Rules) Remedies(q *Request, a *Answer) (list []Remedy, whole bool) {
	rules, asked, answer := *r, *q, *a
	if asked.Method == http.MethodHead {
		asked.Method = http.MethodGet // what GET stores answers HEAD
	}
	asked.Header, answer.Header, answer.Stored = q.Header.Clone(), a.Header.Clone(), nil
	t := trial{&rules, &asked, &answer}
	for range int(fixEnd) {
		why := t.obstacle()
		if why == ReasonNone {
			return list, true
		}
		fix := t.fix(why)
		list = append(list, Remedy{why, fix, r.bound(suggestedTTL)})
		if fix == FixNone {
			return list, false
		}
		t.apply(fix)
		if t.obstacle() == why {
			list[len(list)-1].Fix = FixNone
			return list, false
		}
	}
	return list, t.obstacle() == ReasonNone
}

// Obstacle is the first thing, beside Enabled, that would keep a GET like q, answered with a, from being answered from the cache the next time.
func (r *Rules) Obstacle(q *Request, a *Answer) Reason {
	rules, answer := *r, *a
	rules.Enabled = true
	answer.Header, answer.Stored = a.Header.Clone(), nil
	return (&trial{&rules, q, &answer}).obstacle()
}

// trial is a request and its answer under rules, all of which may be changed.
type trial struct {
	rules *Rules
	q     *Request
	a     *Answer
}

// obstacle tells why the next request of the like would not be answered from the cache.
func (t *trial) obstacle() Reason {
	if !t.rules.Enabled {
		return ReasonDisabled
	}
	if _, why := t.rules.Key(t.q); why != ReasonNone {
		return why
	}
	if t.a.Failure != FailureNone {
		return failureReason(t.a.Failure)
	}
	t.rules.ApplyCacheControl(t.q, t.a.Status, t.a.Header)
	now := t.a.Received
	v := t.rules.Settle(t.q, nil, t.a, now, 0)
	if v.Effect != Store {
		return v.Reason
	}
	d := t.rules.Decide(t.q, &v.Meta, now, 0)
	switch d.Reason {
	case ReasonNone, ReasonEarlyRefresh:
		return ReasonNone
	case ReasonStaleWhileRevalidate, ReasonMaxStale:
		return ReasonStale // it is served, but never fresh
	}
	return d.Reason
}

// fix is what takes an obstacle out of the way.
func (t *trial) fix(why Reason) Fix {
	switch why {
	case ReasonDisabled:
		return FixEnable
	case ReasonBody:
		return FixBody
	case ReasonUpgrade:
		return FixUpgrade
	case ReasonAuthorization:
		return FixKeyAuth
	case ReasonRequestNoStore, ReasonRequestNoCache, ReasonRequestMaxAge, ReasonRequestMinFresh, ReasonOnlyIfCached:
		return FixIgnoreAsk
	case ReasonSetCookie:
		return FixCookie
	case ReasonVaryAny:
		return FixVary
	case ReasonStatus, ReasonErrorStatus:
		return FixTTLStatus
	case ReasonNoStore, ReasonPrivate, ReasonNotUnderstood, ReasonNoCache:
		return FixOverride
	case ReasonNoFreshness, ReasonStale:
		return t.fixLifetime()
	}
	return FixNone
}

// fixLifetime is what gives a response a life that has none left.
func (t *trial) fixLifetime() Fix {
	c := t.rules.control(t.a.Header)
	d, by := t.rules.namedLifetime(t.a.Status, t.a.Header, &c, t.a.Received)
	switch {
	case initialAge(t.a) >= max(t.rules.bound(suggestedTTL), t.rules.TTLMin) && !t.rules.IgnoreOrigin:
		return FixIgnoreSays // it comes older than it lives
	case by.explicit():
		return FixTTLMin
	case by == LifetimeStatus && d <= 0, !mayGuess(t.a.Status, &c):
		return FixTTLStatus
	}
	return FixTTLDefault
}

// apply makes the change.
func (t *trial) apply(fix Fix) {
	r := t.rules
	switch fix {
	case FixEnable:
		r.Enabled = true
	case FixBody:
		t.q.HasBody = false
	case FixUpgrade:
		delete(t.q.Header, "Upgrade")
	case FixKeyAuth:
		r.Authorization = AuthorizationKey
	case FixIgnoreAsk:
		r.IgnoreClient = true
	case FixCookie:
		r.SetCookie = SetCookieStrip
	case FixVary:
		delete(t.a.Header, "Vary")
	case FixTTLDefault:
		r.TTLDefault = r.bound(suggestedTTL)
	case FixTTLStatus:
		r.nameStatus(t.a.Status)
	case FixTTLMin:
		r.TTLMin = r.bound(suggestedTTL)
	case FixOverride:
		rule := CacheControlRule{Status: []int{t.a.Status}, Set: OverrideValue, Override: true}
		r.CacheControl = append([]CacheControlRule{rule}, r.CacheControl...)
	case FixIgnoreSays:
		r.IgnoreOrigin = true
		r.nameStatus(t.a.Status)
	}
}

// OverrideValue is the Cache-Control that FixOverride writes.
const OverrideValue = "public, max-age=60"

// nameStatus gives a status a lifetime. The map is r's own from then on.
func (r *Rules) nameStatus(status int) {
	named := map[int]time.Duration{status: r.bound(suggestedTTL)}
	for s, d := range r.TTLStatus {
		if s != status {
			named[s] = d
		}
	}
	r.TTLStatus = named
}

// EarlyRefreshShare is the share of requests for m, with ttl of its life left, that refresh it ahead of its end.
func (r *Rules) EarlyRefreshShare(m *Meta, ttl time.Duration) float64 {
	if r.EarlyBeta <= 0 || m.FillTime <= 0 || !m.Complete() || ttl <= 0 {
		return 0
	}
	return math.Exp(-float64(ttl) / (float64(m.FillTime) * r.EarlyBeta))
}
