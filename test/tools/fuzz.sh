#!/bin/sh
# Runs every fuzz target of the tree for the given time, one after the other; new failing inputs stay under testdata/fuzz.
set -eu
time=${1:-30s}
for pkg in $(go list ./...); do
	for target in $(go test -list '^Fuzz' "$pkg" | grep '^Fuzz' || true); do
		echo "== $pkg $target"
		# Inputs are kept as they are found: where a target has servers in it, go test takes its own minimizing for a crash (golang/go#52569).
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 1x "$pkg"
	done
done
