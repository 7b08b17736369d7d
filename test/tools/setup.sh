#!/bin/sh
# Puts in place what the tests need beside Go: node and npm for the conformance suite, a Redis server for the shared tier, wrk for the load
# tests, Chromium for the dashboard and for CORS; and the suite itself and what drives the browser, under CACHE_TESTS_DIR. Does nothing where everything is there.
set -eu

suite=http-cache-tests@0.4.5
dir=${CACHE_TESTS_DIR:?the Makefile sets it}

missing() {
	command -v node >/dev/null 2>&1 || echo nodejs
	command -v npm >/dev/null 2>&1 || echo npm
	command -v redis-server >/dev/null 2>&1 || echo redis-server
	command -v wrk >/dev/null 2>&1 || echo wrk
	command -v curl >/dev/null 2>&1 || echo curl
	command -v chromium >/dev/null 2>&1 || echo chromium
}

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

need=$(missing | tr '\n' ' ')
if [ -n "$need" ]; then
	if ! command -v apt-get >/dev/null 2>&1; then
		echo "setup: the tests need $need; install them with this system's package manager and run make test again" >&2
		exit 1
	fi
	if [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; then
		echo "setup: the tests need $need; run: sudo apt-get install -y --no-install-recommends $need" >&2
		exit 1
	fi
	echo "setup: installing $need"
	as_root apt-get update -qq
	# shellcheck disable=SC2086  # one word a package
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $need >/dev/null
fi

if [ ! -d "$dir/node_modules/http-cache-tests" ]; then
	echo "setup: fetching $suite"
	mkdir -p "$dir"
	[ -f "$dir/package.json" ] || echo '{"private": true}' >"$dir/package.json"
	if ! npm install --prefix "$dir" --no-audit --no-fund --ignore-scripts --save-exact "$suite" >"$dir/install.log" 2>&1; then
		cat "$dir/install.log" >&2
		echo "setup: npm could not fetch $suite; check the network or npm's registry setting" >&2
		exit 1
	fi
fi

for package in playwright-core@1.65.1 axe-core@4.14.1; do
	[ -d "$dir/browser/node_modules/${package%@*}" ] && continue
	echo "setup: fetching $package"
	mkdir -p "$dir/browser"
	[ -f "$dir/browser/package.json" ] || echo '{"private": true}' >"$dir/browser/package.json"
	if ! npm install --prefix "$dir/browser" --no-audit --no-fund --ignore-scripts --save-exact "$package" >"$dir/browser/install.log" 2>&1; then
		cat "$dir/browser/install.log" >&2
		echo "setup: npm could not fetch $package; check the network or npm's registry setting" >&2
		exit 1
	fi
done
