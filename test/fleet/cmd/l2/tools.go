package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"time"

	"github.com/penstock/penstock/test/fleet/cmd/outside"
)

// result is what a load generator found.
type result struct {
	rate        float64 // a second
	median, p99 string
}

// run runs a program on the second processor and returns what it printed.
func run(name string, args ...string) (string, error) {
	out, err := exec.Command("taskset", append([]string{"-c", "1", name}, args...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return string(out), nil
}

// pin gives a process one processor.
func pin(pid string, processor int) error {
	if out, err := exec.Command("taskset", "-a", "-p", "-c", strconv.Itoa(processor), pid).CombinedOutput(); err != nil {
		return fmt.Errorf("taskset: %w\n%s", err, out)
	}
	return nil
}

// wrk asks the gateway for all objects at random.
func (o *options) wrk(tb *outside.TB, url string, size int) (r result, err error) {
	script := filepath.Join(tb.TempDir(), "ask.lua")
	lua := fmt.Sprintf(`request = function() return wrk.format("GET", "/size/" .. math.random(0, %d) .. "/%d", {Host = "fleet.test"}) end`, o.keys-1, size)
	if err := os.WriteFile(script, []byte(lua), 0o600); err != nil {
		return r, err
	}
	out, err := run("wrk", "-t1", "-c"+strconv.Itoa(o.conns), "-d"+strconv.Itoa(max(1, int(o.time.Seconds())))+"s", "--latency", "-s", script, url)
	if err != nil {
		return r, err
	}
	if strings.Contains(out, "Non-2xx") || strings.Contains(out, "Socket errors") {
		return r, fmt.Errorf("not all requests went well:\n%s", out)
	}
	r.rate, _ = strconv.ParseFloat(find(out, `Requests/sec:\s+([\d.]+)`), 64)
	r.median, r.p99 = find(out, `(?m)^ +50% +(\S+)$`), find(out, `(?m)^ +99% +(\S+)$`)
	return r, nil
}

// benchmark has Redis answer GETs.
func (o *options) benchmark(port string, size, requests int) (r result, err error) {
	out, err := run("redis-benchmark", "-p", port, "-c", strconv.Itoa(o.conns), "-t", "get", "-d", strconv.Itoa(size),
		"-r", strconv.Itoa(o.keys), "-n", strconv.Itoa(requests), "--csv")
	if err != nil {
		return r, err
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	fields := strings.Split(strings.ReplaceAll(lines[len(lines)-1], `"`, ""), ",")
	if len(fields) < 8 {
		return r, fmt.Errorf("redis-benchmark printed\n%s", out)
	}
	r.rate, err = strconv.ParseFloat(fields[1], 64)
	r.median, r.p99 = fields[4]+"ms", fields[6]+"ms"
	return r, err
}

func find(text, pattern string) string {
	if found := regexp.MustCompile(pattern).FindStringSubmatch(text); found != nil {
		return found[1]
	}
	return "?"
}

// processor is how much processor time a process has used.
func processor(pid string) time.Duration {
	stat, _ := os.ReadFile("/proc/" + pid + "/stat") // of a process that is gone: none
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond // a tick, as Linux counts for everybody
}
