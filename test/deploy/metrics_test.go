package deploy

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long is waited for what has to come.
const patience = 30 * time.Second

// output collects what a process writes.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write adds to it.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

// await waits until there is a match, and returns its last submatch.
func (o *output) await(t *testing.T, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		o.mu.Lock()
		found := re.FindStringSubmatch(o.buf.String())
		o.mu.Unlock()
		if found != nil {
			return found[len(found)-1]
		}
	}
	t.Fatalf("%s does not come in:\n%s", pattern, &o.buf)
	return ""
}

// run starts a process, which ends with the test.
func run(t *testing.T, name string, args ...string) *output {
	t.Helper()
	out := new(output)
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = t.TempDir(), out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = cmd.Wait()                          // how it ends does not matter
	})
	return out
}

// TestMetricsExist runs the gateway by the compose file's own configuration, with a Redis and an origin, and finds every metric that the board and the
// rules ask for in what it serves.
func TestMetricsExist(t *testing.T) {
	served := scrape(t)
	for where, expr := range expressions(t) {
		names, err := metrics(expr)
		if err != nil {
			t.Errorf("%s: %v", where, err)
		}
		for _, name := range names {
			if !served[name] && name != "up" {
				t.Errorf("%s asks for %s, which the gateway does not serve", where, name)
			}
		}
	}
	if t.Failed() {
		t.Logf("served: %v", served)
	}
}

// scrape is the names of all samples that a gateway serves.
func scrape(t *testing.T) map[string]bool {
	t.Helper()
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, "content")
	}))
	t.Cleanup(origin.Close)
	port := freePort(t)
	run(t, "redis-server", "--port", port, "--save", "", "--appendonly", "no").await(t, "Ready to accept connections")
	dir := t.TempDir()
	file := withSecret(t, dir, filepath.Join(root, "deploy", "compose", "gateway", "gateway.yaml"))
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	local := strings.NewReplacer(`":8080"`, `"127.0.0.1:0"`, `":9901"`, `"127.0.0.1:0"`, "redis:6379", "127.0.0.1:"+port,
		"http://otel-collector:4318", "http://127.0.0.1:1", "http://127.0.0.1:7003", origin.URL).Replace(string(text))
	// The rules are for gateways with queued writes and an account of costs too, which the compose file's has not.
	local += fmt.Sprintf("\nwrites: {path: %q}\ncost: {egress_per_gb: 0.09}\n", filepath.Join(dir, "writes.db"))
	if err := os.WriteFile(file, []byte(local), 0o600); err != nil {
		t.Fatal(err)
	}
	log := run(t, gateway, "run", "--config", file)
	public, admin := log.await(t, `msg=listening address=(\S+) admin=false`), log.await(t, `msg=listening address=(\S+) admin=true`)
	log.await(t, "msg=ready")
	for range 3 {
		get(t, "http://"+public+"/page", "")
	}
	served := map[string]bool{}
	for line := range strings.Lines(get(t, "http://"+admin+"/metrics", "0123456789abcdef")) {
		if name := regexp.MustCompile(`^\w+`).FindString(line); name != "" {
			served[name] = true
		}
	}
	return served
}

func get(t *testing.T, url, token string) string {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %v %s", url, resp.StatusCode, err, body)
	}
	return string(body)
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
