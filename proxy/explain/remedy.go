package explain

import (
	"fmt"
	"strconv"
	"strings"

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

// assumedForAll tells an operator the effect of a lifetime that the route assumes.
const assumedForAll = ". Requests without a cookie then share the response: only if it is the same for all of them. Requests with a cookie do not " +
	"(cache.cookies: explicit), unless the origin or a cache_control rule declares it reusable"

// remedyOf returns the change that makes the Fix of m for a response of the given status.
func remedyOf(m *cachepolicy.Remedy, status int) remedy {
	ttl, named := advice.Duration(m.TTL), strings.Join(m.Cookies, ", ")
	switch m.Fix {
	case cachepolicy.FixKeyCookies:
		return remedy{"route", "the cookies " + named + " kept the response out. Give each of their values its own objects; or, only if they change nothing " +
			"in the response, list them in cache.ignore_cookies; or have the origin declare the response reusable (Cache-Control: public, max-age=60) if it is the same " +
			"for everybody. Risky: cache.cookies: ignore gives one user's response to all if any cookie does count", "cache.key.cookies", yamlList(m.Cookies)}
	case cachepolicy.FixKeyHeaders:
		return remedy{"route", "the fields " + named + " tell the origin who asks, and kept the response out. Give each of their values its own objects; or take them off " +
			"(headers.request.remove) if the origin does not need them; or have the origin declare the response reusable (Cache-Control: public, max-age=60) if it is the same " +
			"for everybody", "cache.key.headers", yamlList(m.Cookies)}
	case cachepolicy.FixIgnoreCookies:
		return remedy{"route", "the cookies " + named + " kept the response out. They look like cookies that only measure visitors: let them not count, " +
			"if they change nothing in the response; else put them into cache.key.cookies", "cache.ignore_cookies", yamlList(m.Cookies)}
	case cachepolicy.FixCookiesIgnore:
		return remedy{"route", sameForAll + "let no cookie count. The cookie " + strconv.Quote(named) + " has a name that no other setting can hold. " +
			"Risky: one user's response is given to all if any cookie does count", "cache.cookies", "ignore"}
	case cachepolicy.FixCookiesExplicit:
		return remedy{"route", "let requests with a cookie share what the origin, or a cache_control rule, declares reusable", "cache.cookies", "explicit"}
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
		return remedy{"route", "name a lifetime for what the origin says nothing of; or have the origin send Cache-Control: max-age" + assumedForAll, "cache.ttl.default", ttl}
	case cachepolicy.FixTTLStatus:
		return remedy{"route", fmt.Sprintf("name a lifetime for status %d; or have the origin send Cache-Control: max-age", status) + assumedForAll, fmt.Sprintf("cache.ttl.status.%d", status), ttl}
	case cachepolicy.FixTTLMin:
		return remedy{"route", "lift the lifetime that the origin names; or have the origin name a longer one", "cache.ttl.min", ttl}
	case cachepolicy.FixOverride:
		return remedy{"route", sameForAll + "write its Cache-Control; or have the origin send another", "cache_control",
			fmt.Sprintf("[{when: {status: [%d]}, set: %q, mode: override}]", status, cachepolicy.OverrideValue)}
	case cachepolicy.FixIgnoreSays:
		return remedy{"route", sameForAll + "go by the route's lifetimes alone: it comes older than it lives", "cache.ignore_origin", "true"}
	}
	return remedy{who: "nobody", change: "no change of the configuration helps"}
}

// remedies returns the remedies of a response, and the route's keys that apply all of them. yaml is
// empty if the response is not cacheable even then.
func remedies(r *cache.Response) (list []Remedy, yaml string) {
	var keys []remedy
	for _, m := range r.Remedies {
		fix := remedyOf(&m, r.Status)
		shown := Remedy{Reason: m.Reason.String(), Obstacle: m.Reason.Sentence(), Who: fix.who, Change: fix.change}
		if m.Reason == cachepolicy.ReasonStale {
			shown.Obstacle = "it would be stale as soon as it is stored (RFC 9111 section 4.2)"
		}
		added := []remedy{fix}
		if m.Fix == cachepolicy.FixIgnoreSays {
			added = append(added, remedyOf(&cachepolicy.Remedy{Fix: cachepolicy.FixTTLStatus, TTL: m.TTL}, r.Status))
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

// yamlList returns a list of names in YAML. It quotes them, because a name may look like a number
// or a keyword.
func yamlList(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = strconv.Quote(name)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// yamlOf nests the keys as they stand under a route.
func yamlOf(keys []remedy) string {
	settings := make([]advice.Setting, len(keys))
	for i, k := range keys {
		settings[i] = advice.Setting{Path: k.path, Value: k.value}
	}
	return advice.YAML(settings...)
}
