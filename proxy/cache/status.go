package cache

import (
	"cmp"
	"encoding/hex"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/fill"
	"github.com/penstock/penstock/proxy/observe"
)

// note records in the Event how x was answered.
func (x *request) note(reply *fill.Reply) {
	ev, out := x.ev, &reply.Status
	ev.Cache = x.outcomeOf(reply)
	ev.Hit, ev.Stored, ev.Collapsed = out.Hit, out.Stored, out.Collapsed
	ev.TTL, ev.Age, ev.Reason = out.TTL, reply.Decision.Age, out.Reason.String()
	if out.ForwardStatus != 0 {
		ev.UpstreamStatus = out.ForwardStatus
	}
	reply.Call.Note(ev)
	if out.Hit {
		ev.Tier = cmp.Or(reply.Tier, x.plan.tier)
	} else {
		ev.ForwardFor = out.Forward.String()
	}
}

// outcomeOf returns one word for the cache's part in answering x.
func (x *request) outcomeOf(reply *fill.Reply) string {
	out := &reply.Status
	switch {
	case x.ev.Action == "" || x.ev.Action == cachepolicy.Pass.String():
		return observe.CachePass
	case out.Collapsed:
		return observe.CacheCollapsed
	case reply.Entry == nil:
		return observe.CacheMiss
	case x.refreshing:
		return observe.CacheRefreshed
	case reply.Decision.Action == cachepolicy.ServeStale || out.Hit && out.TTL < 0:
		return observe.CacheStale
	case out.Hit:
		return observe.CacheHit
	case out.Reason == cachepolicy.ReasonCombined:
		return observe.CacheMiss
	}
	return observe.CacheRevalidated
}

func keyText(k cachepolicy.Key) string { return hex.EncodeToString(k.Hash[:8]) }
