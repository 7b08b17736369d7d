package config

import (
	"reflect"
	"testing"
)

// emptyLists says how each list of the configuration treats an empty list. Its column refuses it
// ("refused"), or a cross check does ("checked"), or it means an empty set. The last is right only
// in two cases: an omitted list means the same ("none"), or the program distinguishes the two
// ("none, unlike the default").
var emptyLists = map[string]string{
	"Server.listen":            "checked",
	"Server.trusted_proxies":   "none",
	"ListenerTLS.certificates": "checked",
	"Config.routes":            "checked",
	"Upstream.targets":         "checked",
	"Match.methods":            "refused",
	"When.extension":           "refused",
	"When.content_type":        "refused",
	"When.status":              "refused",
	"Route.cache_control":      "none",
	"Route.errors":             "none",
	"Compress.encodings":       "checked",
	"Compress.types":           "checked",
	"Allow.ips":                "none",
	"Allow.deny_ips":           "none",
	"Allow.files":              "none",
	"Allow.deny_files":         "none",
	"APIKeys.keys":             "checked",
	"JWT.algorithms":           "refused",
	"JWT.scopes":               "none",
	"CORS.origins":             "refused",
	"CORS.methods":             "refused",
	"CORS.headers":             "none",
	"CORS.expose":              "none",
	"FieldOps.remove":          "none",
	"ErrorPage.status":         "checked",
	"Cache.tiers":              "checked",
	"Cache.ignore_cookies":     "none",
	"Tags.from":                "none",
	"QueryKey.include":         "none, unlike the default",
	"QueryKey.exclude":         "none",
	"CacheKey.headers":         "none",
	"CacheKey.cookies":         "none",
	"Writes.targets":           "none",
	"Writes.retry_on":          "none",
	"Budget.alert_at":          "none, unlike the default",
	"Part.headers":             "none",
}

// TestEveryEmptyListHasAMeaning fails for a list without an entry in emptyLists. A route must never
// get all values of something because its list is empty.
func TestEveryEmptyListHasAMeaning(t *testing.T) {
	eachColumn(reflect.TypeFor[Config](), map[reflect.Type]bool{}, func(owner, _ reflect.Type, c column) {
		field := owner.Field(c.index).Type
		if field.Kind() != reflect.Slice || field == jsonType {
			return
		}
		key := owner.Name() + "." + c.key
		before := freshOf(owner).Field(c.index)
		switch meaning := emptyLists[key]; meaning {
		case "refused":
			if c.empty == "" {
				t.Errorf("%s: the column has no tag `empty`", key)
			}
		case "checked":
		case "none":
			if before.Len() > 0 {
				t.Errorf("%s: left out it is %v, so an empty list says something else", key, before)
			}
		case "none, unlike the default": // test/field tries it on a running gateway
		default:
			t.Errorf("%s: say in emptyLists what an empty list means", key)
		}
	})
}
