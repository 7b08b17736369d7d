package config

import (
	"reflect"
	"strings"
)

// foreignWords maps keys of other gateways and servers to this gateway's, for each struct in which
// they may occur.
var foreignWords = map[reflect.Type]map[string]string{
	reflect.TypeFor[Config](): {
		"listen": "server: {listen: [{address: \":8080\"}]}", "port": "server: {listen: [{address: \":8080\"}]}", "entrypoints": "server: {listen: [{address: \":8080\"}]}",
		"http": "`server`, `upstreams` and `routes` at the top", "https": "`tls` of a listener in `server.listen`", "ssl": "`tls` of a listener in `server.listen`", "tls": "`tls` of a listener in `server.listen`",
		"backends": "upstreams", "backend": "upstreams", "services": "upstreams", "clusters": "upstreams", "origins": "upstreams", "upstream": "upstreams",
		"locations": "routes", "location": "routes", "routers": "routes", "route": "routes", "rules": "routes", "paths": "routes", "sites": "routes",
		"redis": "cache: {redis: {url: …}}", "access_log": "telemetry: {access_log: {…}}", "metrics": "telemetry: {metrics: {…}}", "tracing": "telemetry: {traces: {…}}", "prometheus": "telemetry: {metrics: {prometheus: true}}",
		"trusted_proxies": "server: {trusted_proxies: […]}", "timeouts": "server: {timeouts: {…}}, or those of an upstream", "limits": "server: {limits: {…}}",
	},
	reflect.TypeFor[Route](): {
		"proxy_pass": "upstream: NAME", "reverse_proxy": "upstream: NAME", "backend": "upstream: NAME", "service": "upstream: NAME", "origin": "upstream: NAME", "target": "upstream: NAME", "to": "upstream: NAME", "cluster": "upstream: NAME",
		"path": "match: {path: …}", "paths": "match: {path: …}, and a route for each", "location": "match: {path: …}", "prefix": "match: {path: /prefix/*}", "uri": "match: {path: …}", "rule": "match: {host: …, path: …}",
		"host": "match: {host: …}", "hosts": "match: {host: …}, and a route for each", "server_name": "match: {host: …}", "domain": "match: {host: …}", "methods": "match: {methods: […]}", "method": "match: {methods: […]}",
		"ttl": "cache: {enabled: true, ttl: {default: …}}", "expires": "cache: {enabled: true, ttl: {default: …}}", "proxy_cache": "cache: {enabled: true}", "caching": "cache: {enabled: true}", "proxy_cache_valid": "cache: {ttl: {status: {200: …}}}",
		"strip_prefix": "rewrite: {strip_prefix: …}", "strip_path": "rewrite: {strip_prefix: …}", "gzip": "compress: {}", "compression": "compress: {}", "encode": "compress: {}",
		"websocket": "upgrade: websocket", "websockets": "upgrade: websocket", "request_headers": "headers: {request: {set: {…}}}", "response_headers": "headers: {response: {set: {…}}}",
		"add_header": "headers: {response: {add: {…}}}", "proxy_set_header": "headers: {request: {set: {…}}}", "error_page": "errors: [{status: […], …}]", "client_max_body_size": "limits: {body_bytes: …}",
	},
	reflect.TypeFor[Upstream](): {
		"url": "targets: [URL]", "urls": "targets: [URL]", "server": "targets: [URL]", "servers": "targets: [URL]", "host": "targets: [URL]", "hosts": "targets: [URL]", "address": "targets: [URL]", "backends": "targets: [URL]", "endpoints": "targets: [URL]", "nodes": "targets: [URL]",
		"lb_policy": "balance", "load_balancing": "balance", "loadbalancer": "balance", "algorithm": "balance", "keepalive": "pool: {min: …, idle_timeout: …}", "max_connections": "pool: {max: …}", "timeout": "timeouts: {first_byte: …}",
	},
	reflect.TypeFor[Listener]():    {"port": "address: \":8080\"", "bind": "address", "host": "address: HOST:PORT", "http2": "h2c: true without TLS; with TLS it is on", "ssl": "tls: {certificates: [{cert: …, key: …}]}"},
	reflect.TypeFor[ListenerTLS](): {"cert": "certificates: [{cert: …, key: …}]", "key": "certificates: [{cert: …, key: …}]", "cert_file": "certificates: [{cert: …, key: …}]", "ssl_certificate": "certificates: [{cert: …, key: …}]"},
	reflect.TypeFor[Cache]():       {"default_ttl": "ttl: {default: …}", "max_age": "ttl: {default: …}", "duration": "ttl: {default: …}", "expiration": "ttl: {default: …}", "valid": "ttl: {status: {200: …}}", "vary_by": "key: {headers: […]}", "cache_key": "key: {…}", "grace": "stale_while_revalidate", "keep": "stale_if_error", "use_stale": "stale_if_error"},
	reflect.TypeFor[Match]():       {"prefix": "path: /prefix/*", "path_prefix": "path: /prefix/*", "regex": "path: \"/{name:expression}\"", "uri": "path", "paths": "path, and a route for each", "hosts": "host, and a route for each", "domain": "host", "server_name": "host", "method": "methods: […]"},
	reflect.TypeFor[Compress]():    {"algorithms": "encodings", "algorithm": "encodings", "codings": "encodings", "min_length": "min_size", "mime_types": "types", "content_types": "types"},
}

// foreignWord returns this gateway's word for another gateway's key, or "" if the key is unknown.
func foreignWord(t reflect.Type, key string) string {
	return foreignWords[t][strings.ReplaceAll(strings.ToLower(key), "-", "_")]
}

// mapHint says what to write if the file has a single value instead of a map.
func mapHint(t reflect.Type, n *node, cs []column) string {
	switch word := n.text; t {
	case reflect.TypeFor[Match]():
		if strings.HasPrefix(n.source, "/") {
			return "write {path: " + clip(n.source) + "}"
		}
	case reflect.TypeFor[Upstream]():
		return "write {targets: [" + n.quoted() + "]}"
	case reflect.TypeFor[Listener]():
		return "write {address: " + n.quoted() + "}"
	default:
		if _, ok := findColumn(cs, "enabled"); ok && (word == "true" || word == "false") {
			return "write {enabled: " + word + "}"
		}
	}
	return "its keys: " + strings.Join(keys(cs), ", ")
}
