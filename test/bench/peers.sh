#!/usr/bin/env bash
# Measures the gateway beside nginx, HAProxy and Varnish. Each proxy runs on processor 0 with one thread or process; the load and the origin
# run on processor 1; one proxy at a time is loaded, in turns, so that what else the machine does falls on all alike.
#
#   peers.sh [--install] [hit|pass|gzip|tls|h2|idle] [BYTES] [CONNECTIONS] [SECONDS] [ROUNDS]          PENSTOCK=binary, else it is built
#
#   hit    answers from the store
#   pass   answers from the origin, one call each
#   gzip   answers from the store to clients that take gzip, of an origin that sends none
#   tls    as hit, over HTTPS with HTTP/1.1, all with one certificate and one cipher; Varnish has no TLS
#   h2     the same with HTTP/2, ten streams at once on each connection
#   idle   no load: the memory of connections that wait, each after one answer from the store; ask for some thousand connections
#
# With hit there is a floor as well: a bare loop around epoll that writes the same bytes whatever it reads, which no server can be below.
# --install installs the peers that are missing, with apt-get.
#
# cpu_us/req is the proxy's own processor time, user and system, for each request: of all columns the one that a busy machine disturbs least.
# Compare the rows of one run, never those of two. The last lines are the gateway's medians divided by each peer's.
set -euo pipefail

install=
if [ "${1:-}" = --install ]; then
	install=yes
	shift
fi
mode=${1:-hit} bytes=${2:-1024} connections=${3:-64} seconds=${4:-3} rounds=${5:-3}
here=$(cd "$(dirname "$0")" && pwd)

case $mode in
hit) path=/hit ;;
pass) path=/pass/x ;;
gzip) path=/gzip/x ;;
tls | h2 | idle) path=/hit ;;
*)
	echo "peers.sh: there is no mode $mode; it is hit, pass, gzip, tls, h2 or idle" >&2
	exit 2
	;;
esac

missing=
for need in nginx:nginx-light haproxy:haproxy varnishd:varnish wrk:wrk h2load:nghttp2-client openssl:openssl curl:curl taskset:util-linux pgrep:procps; do
	command -v "${need%%:*}" >/dev/null || missing="$missing ${need#*:}"
done
if [ -n "$missing" ] && [ -n "$install" ]; then
	apt-get install -y --no-install-recommends $missing >&2
elif [ -n "$missing" ]; then
	echo "peers.sh needs these Debian packages, which --install installs:$missing" >&2
	exit 1
fi
if [ "$(nproc)" -lt 2 ]; then
	echo "peers.sh needs two processors: one for the proxy, one for the load" >&2
	exit 1
fi

dir=$(mktemp -d "${TMPDIR:-/tmp}/peers.XXXXXX")
chmod 755 "$dir" # Varnish and nginx change to users of their own
started=()
finish() {
	for file in nginx.pid haproxy.pid varnish/_.pid; do
		if [ -s "$dir/$file" ]; then kill "$(head -n 1 "$dir/$file")" 2>/dev/null || true; fi
	done
	for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
	wait
	for _ in $(seq 50); do
		rm -rf "$dir" 2>/dev/null && break # a peer may still write as it ends
		sleep 0.1
	done
}
trap finish EXIT

# Ports: ten in a row, the first of them chosen by this process's number.
base=$((20000 + $$ % 1000 * 10))
declare -A port=([penstock]=$base [nginx]=$((base + 1)) [haproxy]=$((base + 2)) [varnish]=$((base + 3)) [floor]=$((base + 6)))
declare -A secure=([penstock]=$((base + 7)) [nginx]=$((base + 8)) [haproxy]=$((base + 9)))
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=bench.example -addext subjectAltName=DNS:bench.example,IP:127.0.0.1 \
	-keyout "$dir/key.pem" -out "$dir/cert.pem" 2>"$dir/openssl.start" || { cat "$dir/openssl.start" >&2; exit 1; }
cat "$dir/cert.pem" "$dir/key.pem" >"$dir/both.pem"
fill() {
	sed -e "s|@DIR@|$dir|g" -e "s|@GATEWAY@|${port[penstock]}|g" -e "s|@NGINX@|${port[nginx]}|g" -e "s|@HAPROXY@|${port[haproxy]}|g" \
		-e "s|@GATEWAY_TLS@|${secure[penstock]}|g" -e "s|@NGINX_TLS@|${secure[nginx]}|g" -e "s|@HAPROXY_TLS@|${secure[haproxy]}|g" \
		-e "s|@ORIGIN@|$((base + 4))|g" -e "s|@ADMIN@|$((base + 5))|g" "$here/$1.in" >"$dir/$1"
}
for file in gateway.yaml nginx.conf haproxy.cfg varnish.vcl; do fill "$file"; done

(cd "$here" && go build -o "$dir/origin" ./origin)
gateway=${PENSTOCK:-$dir/penstock}
[ -n "${PENSTOCK:-}" ] || (cd "$here/../.." && CGO_ENABLED=0 go build -trimpath -o "$gateway" ./cmd/penstock)

declare -A process
proxies=(penstock nginx haproxy varnish)
if [ "$mode" = hit ]; then
	(cd "$here" && go build -o "$dir/floor" ./floor)
	GOMAXPROCS=1 taskset -c 0 "$dir/floor" "127.0.0.1:${port[floor]}" "$bytes" &
	started+=($!)
	process[floor]=$!
	proxies+=(floor)
fi
taskset -c 1 "$dir/origin" "127.0.0.1:$((base + 4))" "$bytes" &
started+=($!)
GOMAXPROCS=1 taskset -c 0 "$gateway" run --config "$dir/gateway.yaml" >"$dir/gateway.log" 2>&1 &
started+=($!)
process[penstock]=$!
taskset -c 0 nginx -c "$dir/nginx.conf" 2>"$dir/nginx.start" || { cat "$dir/nginx.start" >&2; exit 1; }
taskset -c 0 haproxy -D -f "$dir/haproxy.cfg" -p "$dir/haproxy.pid" 2>"$dir/haproxy.start" || { cat "$dir/haproxy.start" >&2; exit 1; }
case $mode in
tls | h2 | idle) proxies=(penstock nginx haproxy) ;;
*)
	taskset -c 0 varnishd -n "$dir/varnish" -a "127.0.0.1:${port[varnish]}" -f "$dir/varnish.vcl" -s malloc,512M >"$dir/varnish.start" 2>&1 || { cat "$dir/varnish.start" >&2; exit 1; }
	;;
esac

# The process that does the work: nginx's and Varnish's are children of those that were started.
child() {
	for _ in $(seq 50); do
		if [ -s "$dir/$1" ] && pgrep -P "$(head -n 1 "$dir/$1")" | head -n 1 | grep .; then return; fi
		sleep 0.1
	done
	echo "peers.sh: $1 has no child" >&2
	return 1
}
process[nginx]=$(child nginx.pid)
[[ " ${proxies[*]} " != *" varnish "* ]] || process[varnish]=$(child varnish/_.pid)
process[haproxy]=$(head -n 1 "$dir/haproxy.pid")

header=(-H "Host: bench.example")
case $mode in
gzip) header+=(-H "Accept-Encoding: gzip") ;;
tls) header=(--http1.1 --cacert "$dir/cert.pem") ;; # what is asked for is the address, as the load generator has it
h2) header=(--http2 --cacert "$dir/cert.pem") ;;
esac

# url PROXY
url() {
	case $mode in
	tls | h2) echo "https://127.0.0.1:${secure[$1]}$path" ;;
	*) echo "http://127.0.0.1:${port[$1]}$path" ;;
	esac
}

# Each has to answer, and to answer what is measured, before anything is measured.
for proxy in "${proxies[@]}"; do
	curl -s -o /dev/null --retry 30 --retry-delay 1 --retry-connrefused "${header[@]}" "$(url "$proxy")"
	sleep 0.2
	curl -s -o "$dir/body" -D "$dir/head" "${header[@]}" "$(url "$proxy")"
	code=$(awk 'NR == 1 {print $2}' "$dir/head")
	coding=$(tr -d '\r' <"$dir/head" | awk 'tolower($1) == "content-encoding:" {print $2}')
	echo "# $proxy answers $code, $(wc -c <"$dir/body") bytes ${coding:-as they are}"
	if [ "$code" != 200 ]; then
		cat "$dir"/*.log "$dir"/*.start >&2
		exit 1
	fi
done
echo "# load average $(cut -d' ' -f1-3 /proc/loadavg) on $(nproc) processors; $connections connections, $rounds rounds of $seconds s"

# Processor time of a process in microseconds; the kernel counts in hundredths of a second.
used() { awk '{sub(/.*\) /, ""); print ($12 + $13) * 1000000 / '"$(getconf CLK_TCK)"'}' "/proc/$1/stat"; }

if [ "$mode" = idle ]; then
	ulimit -n "$(ulimit -Hn)"
	(cd "$here" && go build -o "$dir/idle" ./idle)
	for proxy in "${proxies[@]}"; do
		echo "idle $bytes $proxy $connections connections, $("$dir/idle" "127.0.0.1:${port[$proxy]}" "$path" "$connections" "${process[$proxy]}") bytes each"
	done
	exit
fi

# load PROXY. It says how many requests there were, how many a second, the slowest but one in a hundred, in milliseconds, and what went wrong.
load() {
	case $mode in
	tls) h2load_at "$1" --h1 -m 1 ;;
	h2) h2load_at "$1" -m 10 ;;
	*)
		taskset -c 1 wrk -t1 -c"$connections" -d"${seconds}s" --latency "${header[@]}" "$(url "$1")" >"$dir/load"
		awk '
			function ms(t) { return t ~ /us$/ ? t / 1000 : t ~ /ms$/ ? t + 0 : t * 1000 }
			/requests in/ { requests = $1 }
			/Requests\/sec/ { rate = $2 }
			$1 == "99%" { p99 = ms($2) }
			/Non-2xx|Socket errors/ { errors = errors " !" $0 }
			END { print requests + 0, rate + 0, p99 + 0, errors }' "$dir/load"
		;;
	esac
}

# h2load_at PROXY OPTION...
h2load_at() {
	local proxy=$1
	shift
	taskset -c 1 h2load -t1 -c"$connections" -D"$seconds" --tls13-ciphers=TLS_AES_128_GCM_SHA256 --log-file="$dir/times" "$@" "$(url "$proxy")" >"$dir/load"
	cut -f3 "$dir/times" | sort -n | awk '{v[NR] = $1} END {print v[int(NR * 0.99)] / 1000}' >"$dir/p99"
	rm -f "$dir/times"
	awk -v p99="$(cat "$dir/p99")" '
		/^finished in/ { rate = $4 }
		/^requests:/ { requests = $8; if ($10 + $12 + $14 > 0) errors = errors " !" $0 }
		/^status codes:/ { if ($5 + $7 + $9 > 0) errors = errors " !" $0 }
		END { print requests + 0, rate + 0, p99 + 0, errors }' "$dir/load"
}

for _ in $(seq "$rounds"); do
	for proxy in "${proxies[@]}"; do
		before=$(used "${process[$proxy]}")
		read -r requests rate p99 errors < <(load "$proxy")
		after=$(used "${process[$proxy]}")
		awk -v proxy="$proxy" -v mode="$mode" -v bytes="$bytes" -v cpu="$((${after%.*} - ${before%.*}))" -v requests="$requests" -v rate="$rate" -v p99="$p99" -v errors="$errors" '
			BEGIN { printf "%-4s %6d %-9s rps %8.0f  cpu_us/req %7.2f  p99_ms %7.2f%s\n", mode, bytes, proxy, rate, requests ? cpu / requests : 0, p99, errors }'
	done
done | tee "$dir/rows"

# median COLUMN PROXY
median() {
	awk -v proxy="$2" -v column="$1" '$3 == proxy {print $column}' "$dir/rows" | sort -g | awk '{v[NR] = $1} END {print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'
}
for proxy in "${proxies[@]}"; do
	echo "median $mode $bytes $proxy rps $(median 5 "$proxy") cpu_us/req $(median 7 "$proxy") p99_ms $(median 9 "$proxy")"
done
for proxy in "${proxies[@]:1}"; do
	awk -v mode="$mode" -v bytes="$bytes" -v proxy="$proxy" -v r="$(median 5 penstock)" -v R="$(median 5 "$proxy")" -v c="$(median 7 penstock)" -v C="$(median 7 "$proxy")" -v l="$(median 9 penstock)" -v L="$(median 9 "$proxy")" '
		function ratio(a, b) { return b > 0 ? sprintf("%.2f", a / b) : "-" }
		BEGIN { print "ratio", mode, bytes, "penstock/" proxy, "rps", ratio(r, R), "cpu", ratio(c, C), "p99", ratio(l, L) }'
done
