// Package conformance runs the public HTTP cache test suite (npm: http-cache-tests) against the gateway and holds the result against the
// tests that are known to pass: none of those may fall.
package conformance

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/test/load/program"
)

const suiteVersion = "http-cache-tests@0.4.5"

var update = flag.Bool("update", false, "write the verdicts of this run to testdata/verdicts.tsv")

// verdict is one line of verdicts.mjs.
type verdict struct{ kind, result, id, message string }

var gatewayBinary *program.Binary

func TestMain(m *testing.M) { program.Main(m, &gatewayBinary, true) }

// TestConformance runs the suite over both protocols: the verdicts are the same.
func TestConformance(t *testing.T) {
	suite := installSuite(t)
	origin := startOrigin(t, suite)
	t.Setenv("CONFORMANCE_ORIGIN", "http://127.0.0.1:"+origin) // gateway.yaml names it
	t.Run("HTTP/1.1", func(t *testing.T) {
		t.Parallel()
		got := judged(t, suite, startGateway(t), origin)
		if *update {
			write(t, got)
			return
		}
		compare(t, got, read(t))
	})
	t.Run("HTTP/2", func(t *testing.T) {
		t.Parallel()
		compare(t, judged(t, suite, bridge(t, startGateway(t)), origin), read(t))
	})
}

// installSuite returns the folder of the suite, installed once into the repository's cache folder.
func installSuite(t *testing.T) string {
	dir := os.Getenv("CACHE_TESTS_DIR")
	if dir == "" {
		dir = filepath.Join("..", "..", ".cache", "http-cache-tests")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	suite := filepath.Join(dir, "node_modules", "http-cache-tests")
	if _, err := os.Stat(suite); err == nil {
		return suite
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	npm := exec.Command("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-save", "--prefix", dir, suiteVersion)
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("installing the suite (needs node and npm, which `make test` installs): %v\n%s", err, out)
	}
	return suite
}

// startOrigin runs the suite's own origin and returns its port.
func startOrigin(t *testing.T, suite string) string {
	port := freePort(t)
	cmd := exec.Command("node", "--no-warnings", "server/server.mjs")
	cmd.Dir = suite
	cmd.Env = append(os.Environ(), "npm_package_config_protocol=http", "npm_package_config_port="+port, "npm_package_config_pidfile="+filepath.Join(t.TempDir(), "pid"))
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting the suite's origin: %v", err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for range 100 {
		if conn, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			conn.Close()
			return port
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("the suite's origin does not listen")
	return ""
}

func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// startGateway runs gateway.yaml and returns its URL.
func startGateway(t *testing.T) string {
	src, err := os.ReadFile("gateway.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return "http://" + gatewayBinary.Start(t, string(src)).Public()
}

// judged runs the suite until all tests that are known to pass are judged, at most three times, and returns the verdicts. A test judges
// nothing if its own set-up fails, for instance since a second passed between its requests on a busy machine. A test that fails has failed.
func judged(t *testing.T, suite, gateway, originPort string) []verdict {
	got := runSuite(t, suite, gateway, originPort)
	for range 2 {
		if !slices.ContainsFunc(read(t), func(k verdict) bool { return k.kind != "check" && k.result == "pass" && unjudged(find(got, k.id)) }) {
			break
		}
		t.Log("not all tests could be judged; the suite runs again")
		next := runSuite(t, suite, gateway, originPort)
		for i, v := range got {
			if unjudged(v) {
				got[i] = find(next, v.id)
			}
		}
	}
	return got
}

// unjudged reports whether a test, or one that it depends on, could not be set up.
func unjudged(v verdict) bool { return v.result == "setup" || v.result == "dependency" }

// find returns the verdict of a test, or the zero value.
func find(list []verdict, id string) verdict {
	if i := slices.IndexFunc(list, func(v verdict) bool { return v.id == id }); i >= 0 {
		return list[i]
	}
	return verdict{}
}

// runSuite runs the suite against a URL and returns its verdicts.
func runSuite(t *testing.T, suite, gateway, originPort string) []verdict {
	results := filepath.Join(t.TempDir(), "results.json")
	out, err := os.Create(results)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command("node", "--no-warnings", "cli.mjs")
	cmd.Dir, cmd.Stdout = suite, out
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.Env = append(os.Environ(), "npm_package_config_protocol=http", "npm_package_config_port="+originPort, "npm_package_config_id=", "npm_package_config_base="+gateway)
	if err := cmd.Run(); err != nil {
		t.Fatalf("running the suite: %v\n%s", err, stderr.Bytes())
	}
	got := judge(t, suite, results)
	report(t, got)
	return got
}

func judge(t *testing.T, suite, results string) []verdict {
	script, err := filepath.Abs("verdicts.mjs")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("node", "--no-warnings", script, suite, results).Output()
	if err != nil {
		t.Fatalf("judging the results: %v", err)
	}
	return parse(out)
}

func parse(out []byte) []verdict {
	var list []verdict
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		if f := strings.SplitN(lines.Text(), "\t", 4); len(f) >= 3 {
			list = append(list, verdict{f[0], f[1], f[2], strings.Join(f[3:], " ")})
		}
	}
	return list
}

// report logs the score and the required and optimal tests that don't pass.
func report(t *testing.T, got []verdict) {
	passed, all := make(map[string]int), make(map[string]int)
	for _, v := range got {
		all[v.kind]++
		if v.result == "pass" {
			passed[v.kind]++
		} else if v.kind != "check" {
			t.Logf("%s %s %s: %s", v.kind, v.result, v.id, v.message)
		}
	}
	t.Logf("required %d of %d, optimal %d of %d, checks answered yes %d of %d",
		passed["required"], all["required"], passed["optimal"], all["optimal"], passed["check"], all["check"])
}

// compare fails for every required or optimal test that passed when the verdicts were written and does not now, or is gone.
func compare(t *testing.T, got, known []verdict) {
	for _, k := range known {
		if k.kind == "check" || k.result != "pass" {
			continue
		}
		if v := find(got, k.id); v.result != "pass" {
			t.Errorf("%s passed before, now: %s %s", k.id, v.result, v.message)
		}
	}
	if len(known) == 0 {
		t.Error("testdata/verdicts.tsv is empty: run with -update")
	}
}

const verdictsFile = "testdata/verdicts.tsv"

func read(t *testing.T) []verdict {
	src, err := os.ReadFile(verdictsFile)
	if err != nil {
		t.Fatal(err)
	}
	return parse(src)
}

// resultOutdated marks a test of the npm edition that contradicts the RFC, and was corrected in the suite since. Its verdict does not count;
// README.md has the reasons.
const resultOutdated = "outdated"

func write(t *testing.T, got []verdict) {
	outdated := make(map[string]bool)
	for _, v := range read(t) {
		outdated[v.id] = v.result == resultOutdated
	}
	slices.SortFunc(got, func(a, b verdict) int { return strings.Compare(a.kind+a.id, b.kind+b.id) })
	var b strings.Builder
	for _, v := range got {
		switch {
		case outdated[v.id]:
			v.result = resultOutdated
		case v.result != "pass":
			v.result = "fail"
		}
		fmt.Fprintf(&b, "%s\t%s\t%s\n", v.kind, v.result, v.id)
	}
	if err := os.MkdirAll("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(verdictsFile, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
