#!/usr/bin/env bash
# Measures what it costs a hit to be observed: a gateway that traces one hit in a hundred to a collector and has its metrics, beside one that has neither.
# Each runs on processor 0, in turns; the load, the origin and the collector run on processor 1.
#
#   traced.sh [CONNECTIONS] [SECONDS] [ROUNDS]          PENSTOCK=binary, else it is built
#
# It needs wrk, curl and taskset. Compare the rows of one run, never those of two.
set -euo pipefail

connections=${1:-64} seconds=${2:-3} rounds=${3:-7}
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d "${TMPDIR:-/tmp}/traced.XXXXXX")
started=()
finish() {
	for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
	wait
	rm -rf "$dir"
}
trap finish EXIT

base=$((20000 + $$ % 1000 * 10))
(cd "$here" && go build -o "$dir/origin" ./origin && go build -o "$dir/sink" ./sink)
gateway=${PENSTOCK:-$dir/penstock}
[ -n "${PENSTOCK:-}" ] || (cd "$here/../.." && CGO_ENABLED=0 go build -trimpath -o "$gateway" ./cmd/penstock)
taskset -c 1 "$dir/origin" "127.0.0.1:$((base + 4))" 1024 &
started+=($!)
taskset -c 1 "$dir/sink" "127.0.0.1:$((base + 5))" &
started+=($!)

declare -A process port=([off]=$base [on]=$((base + 1))) telemetry=(
	[off]="{metrics: {prometheus: false}}"
	[on]="{metrics: {prometheus: true}, traces: {exporter: otlp, endpoint: \"http://127.0.0.1:$((base + 5))\", sample: 0.01}}"
)
for which in off on; do
	# Of the configuration that its peers are measured beside, without the listener for HTTPS.
	sed -e '/@GATEWAY_TLS@/,/tls:/d' -e "s|@GATEWAY@|${port[$which]}|" -e "s|@ADMIN@|$((${port[$which]} + 2))|" -e "s|@ORIGIN@|$((base + 4))|" "$here/gateway.yaml.in" >"$dir/$which.yaml"
	echo "telemetry: ${telemetry[$which]}" >>"$dir/$which.yaml"
	GOMAXPROCS=1 taskset -c 0 "$gateway" run --config "$dir/$which.yaml" >"$dir/$which.log" 2>&1 &
	started+=($!)
	process[$which]=$!
done
for which in off on; do
	for _ in 1 2 3; do
		if ! curl -sf -o /dev/null --retry 30 --retry-delay 1 --retry-connrefused "http://127.0.0.1:${port[$which]}/hit"; then
			cat "$dir/$which.log" >&2
			exit 1
		fi
	done
done

# Processor time of a process in microseconds; the kernel counts in hundredths of a second.
used() { awk '{sub(/.*\) /, ""); print ($12 + $13) * 1000000 / '"$(getconf CLK_TCK)"'}' "/proc/$1/stat"; }

order=(off on)
for _ in $(seq "$rounds"); do
	for which in "${order[@]}"; do
		before=$(used "${process[$which]}")
		taskset -c 1 wrk -t1 -c"$connections" -d"${seconds}s" "http://127.0.0.1:${port[$which]}/hit" >"$dir/wrk"
		after=$(used "${process[$which]}")
		awk -v which="$which" -v cpu="$((${after%.*} - ${before%.*}))" '
			/requests in/ { requests = $1 }
			/Requests\/sec/ { rate = $2 }
			END { printf "%-3s rps %8.0f  cpu_us/req %6.2f\n", which, rate, requests ? cpu / requests : 0 }' "$dir/wrk"
	done
	order=("${order[1]}" "${order[0]}")
done | tee "$dir/rows"
median() { awk -v which="$1" '$1 == which {print $5}' "$dir/rows" | sort -g | awk '{v[NR] = $1} END {print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }
awk -v off="$(median off)" -v on="$(median on)" 'BEGIN { printf "median cpu_us/req off %.2f on %.2f: %+.1f %%\n", off, on, (on / off - 1) * 100 }'
