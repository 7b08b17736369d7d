#!/usr/bin/env bash
# Measures everything that the README's figures come from, and prints it as Markdown. Takes about a quarter of an hour; nothing else should run.
#
#   bench.sh [--install]      OBJECTS=1000000 SECONDS_EACH=3 ROUNDS=3 CLIENTS=10000 PARTS="peers traced herd ratio scale"
#
# PARTS chooses: peers (nginx, HAProxy, Varnish and a bare epoll loop beside the gateway), traced (hits with traces and metrics beside hits
# without), herd (many clients on a cold key), ratio (hit ratios beside LRU and otter), scale (few and OBJECTS stored objects; 5000000 take 8 GB).
set -euo pipefail
cd "$(dirname "$0")/../.."

install=${1:-}
seconds=${SECONDS_EACH:-3} rounds=${ROUNDS:-3} parts=${PARTS:-peers traced herd ratio scale}
out=$(mktemp -d "${TMPDIR:-/tmp}/bench.XXXXXX")
trap 'rm -rf "$out"' EXIT
CGO_ENABLED=0 go build -trimpath -o "$out/penstock" ./cmd/penstock
export PENSTOCK=$out/penstock

wanted() { [[ " $parts " == *" $1 "* ]]; }

# peers TITLE MODE BYTES CONNECTIONS
peers() {
	local command="test/bench/peers.sh $2 $3 $4 $seconds $rounds"
	echo "bench.sh: $command" >&2
	test/bench/peers.sh $install "$2" "$3" "$4" "$seconds" "$rounds" >"$out/peers"
	awk -v title="$1" -v command="$command" '
		$1 == "median" { list = list sprintf("%s%s %.0f/s, %.1f µs, p99 %.1f ms", list ? "; " : "", $4, $6, $8, $10) }
		$1 == "ratio" && $4 == "penstock/nginx" { ratio = sprintf("%s × nginx, processor time %s ×, p99 %s ×", $6, $8, $10) }
		END { print "| " title " | " list " | " ratio " | `" command "` |" }' "$out/peers"
}

if wanted peers; then
	echo "| What | Requests a second, processor time of a request, latency | Gateway beside nginx | Command |"
	echo "|---|---|---|---|"
	peers "Hit, 1 KB, 64 connections" hit 1024 64
	peers "Hit, 16 KB, 64 connections" hit 16384 64
	peers "Hit, 128 KB, 64 connections" hit 131072 64
	peers "Hit, 1 KB, 1 000 connections" hit 1024 1000
	peers "Hit, 16 KB of JSON for gzip clients" gzip 16384 64
	peers "Hit, 1 KB, HTTPS" tls 1024 64
	peers "Hit, 1 KB, HTTP/2 over HTTPS" h2 1024 64
	peers "Pass-through, 1 KB" pass 1024 64
	echo
fi
if wanted traced; then
	command="test/bench/traced.sh 64 $seconds $((rounds + 2))"
	echo "bench.sh: $command" >&2
	printf '`%s`\n\n```\n' "$command"
	test/bench/traced.sh 64 "$seconds" "$((rounds + 2))"
	printf '```\n\n'
fi
if wanted herd; then
	command="go run ./test/herd -n ${CLIENTS:-10000}"
	echo "bench.sh: $command" >&2
	printf '`%s`\n\n```\n' "$command"
	go run ./test/herd -n "${CLIENTS:-10000}"
	printf '```\n\n'
fi
if wanted ratio; then
	command="go test ./proxy/store -run '^\$' -bench HitRatio -benchtime 1000000x"
	echo "bench.sh: $command" >&2
	printf '`%s`\n\n| Workload, room for | Memory tier | LRU | otter |\n|---|---|---|---|\n' "$command"
	go test ./proxy/store -run '^$' -bench HitRatio -benchtime 1000000x | awk '
		/^BenchmarkHitRatio/ {
			sub(/^BenchmarkHitRatio\//, "", $1)
			sub(/-[0-9]+$/, "", $1)
			for (i = 3; i < NF; i++) value[$(i + 1)] = $i
			printf "| %s | %.1f %% | %.1f %% | %.1f %% |\n", $1, value["memory-%"], value["lru-%"], value["otter-%"]
		}'
	echo
fi
if wanted scale; then
	command="go run ./test/bench/scale -n ${OBJECTS:-1000000}"
	echo "bench.sh: $command" >&2
	printf '`%s`\n\n' "$command"
	go run ./test/bench/scale -n "${OBJECTS:-1000000}"
fi
