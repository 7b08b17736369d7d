package proxy

import (
	"fmt"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/advice"
	"github.com/penstock/penstock/proxy/cache"
)

// remedy is a Fix in the words of the configuration.
type remedy struct {
	who, change string
	path        string // of the keys under the route, as in "cache.ttl.default"
	value       string
}

const sameForAll = "only if the response is the same for everybody: "

// remedyOf says how a Fix is made for a response of the given status.
func remedyOf(fix cachepolicy.Fix, status int, lifetime time.Duration) remedy {
	ttl := advice.Duration(lifetime)
	switch fix {
	case cachepolicy.FixEnable:
		return remedy{"route", "give the route a cache; then the origin's Cache-Control decides", "cache.enabled", "true"}
	case cachepolicy.FixBody:
		return remedy{who: "client", change: "send the request without content"}
	case cachepolicy.FixUpgrade:
		return remedy{who: "client", change: "do not ask for another protocol"}
	case cachepolicy.FixKeyAuth:
		return remedy{"route", "give each Authorization value its own objects; or have the origin say public, s-maxage or must-revalidate where the response is the same for all", "cache.authorization", "key"}
	case cachepolicy.FixIgnoreAsk:
		return remedy{"route", "do not hear the client's Cache-Control", "cache.client_directives", "ignore"}
	case cachepolicy.FixCookie:
		return remedy{"route", sameForAll + "store and send it without its cookie; or have the origin set none", "cache.set_cookie", "strip"}
	case cachepolicy.FixVary:
		return remedy{"route", sameForAll + "take Vary out; or have the origin name the request fields that it really goes by", "headers.response.remove", "[Vary]"}
	case cachepolicy.FixTTLDefault:
		return remedy{"route", "name a lifetime for what the origin says nothing of; or have the origin send Cache-Control: max-age", "cache.ttl.default", ttl}
	case cachepolicy.FixTTLStatus:
		return remedy{"route", fmt.Sprintf("name a lifetime for status %d; or have the origin send Cache-Control: max-age", status), fmt.Sprintf("cache.ttl.status.%d", status), ttl}
	case cachepolicy.FixTTLMin:
		return remedy{"route", "lift the lifetime that the origin names; or have the origin name a longer one", "cache.ttl.min", ttl}
	case cachepolicy.FixOverride:
		return remedy{"route", sameForAll + "write its Cache-Control; or have the origin send another", "cache_control",
			fmt.Sprintf("[{when: {status: [%d]}, set: %q, mode: override}]", status, cachepolicy.OverrideValue)}
	case cachepolicy.FixIgnoreSays:
		return remedy{"route", sameForAll + "go by the route's lifetimes alone: it comes older than it lives", "cache.ignore_origin", "true"}
	}
	return remedy{who: "nobody", change: "nothing that a configuration could say"}
}

// remedies are those of a response, and the keys of the route that take all of them.
func remedies(r *cache.Response) (list []ExplainedRemedy, yaml string) {
	var keys []remedy
	for _, m := range r.Remedies {
		fix := remedyOf(m.Fix, r.Status, m.TTL)
		shown := ExplainedRemedy{Reason: m.Reason.String(), Obstacle: m.Reason.Sentence(), Who: fix.who, Change: fix.change}
		if m.Reason == cachepolicy.ReasonStale {
			shown.Obstacle = "it would be stale as soon as it is stored (RFC 9111 section 4.2)"
		}
		added := []remedy{fix}
		if m.Fix == cachepolicy.FixIgnoreSays {
			added = append(added, remedyOf(cachepolicy.FixTTLStatus, r.Status, m.TTL))
		}
		if fix.path != "" {
			shown.YAML = yamlOf(added)
			keys = append(keys, added...)
		}
		list = append(list, shown)
	}
	if !r.Cacheable {
		return list, ""
	}
	return list, yamlOf(keys)
}

// yamlOf nests the keys as they stand under a route.
func yamlOf(keys []remedy) string {
	settings := make([]advice.Setting, len(keys))
	for i, k := range keys {
		settings[i] = advice.Setting{Path: k.path, Value: k.value}
	}
	return advice.YAML(settings...)
}
