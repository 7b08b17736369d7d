package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for an expected event. It is long so that a slow machine fails
// no test.
const patience = 10 * time.Second

// text collects the output of the program, from any goroutine.
type text struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *text) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *text) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// running is a program that run has started in this process.
type running struct {
	t      *testing.T
	dir    string
	config string // the configuration's file
	flags  []string
	log    *text
	stop   context.CancelFunc
	code   chan int

	mu  sync.Mutex
	env map[string]string
}

// plain is a configuration with one route to an origin. Its responses carry ${MARK}.
func plain(origin string) string { return listening(origin, `{address: "127.0.0.1:0"}`) }

// listening is plain with the given entries of server.listen.
func listening(origin string, listen ...string) string {
	return fmt.Sprintf(`version: 1
server:
  listen: [%s]
  timeouts: {drain: 5s}
admin: {address: "127.0.0.1:0"}
cache: {memory: {size: 8MiB}}
upstreams:
  origin: {targets: [%q]}
routes:
  - name: all
    match: {path: "/*"}
    upstream: origin
    headers: {response: {set: {X-Mark: "${MARK:-none}"}}}
    upgrade: websocket
`, strings.Join(listen, ", "), origin)
}

// start runs the gateway on a configuration until the test ends or stops it.
func start(t *testing.T, config string) *running {
	t.Helper()
	p := prepare(t)
	p.write(config)
	return p.run()
}

// prepare makes a directory for the configuration file. Tests may move the file before they run the
// gateway.
func prepare(t *testing.T) *running {
	t.Helper()
	dir := t.TempDir()
	return &running{t: t, dir: dir, config: filepath.Join(dir, "gateway.yaml"), log: new(text), code: make(chan int, 1), env: map[string]string{}}
}

func (p *running) run() *running {
	p.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	go func() {
		p.code <- run(ctx, append([]string{"run", "--config", p.config}, p.flags...), p.lookup, p.log, p.log)
	}()
	p.t.Cleanup(func() {
		cancel()
		if p.code != nil {
			p.exit(exitDone)
		}
		if p.t.Failed() {
			p.t.Logf("log:\n%s", p.log)
		}
	})
	p.await(`msg=listening address=\S+ admin=false`)
	p.await(`msg=listening address=\S+ admin=true`)
	p.await(`msg=ready`)
	return p
}

func (p *running) lookup(name string) (string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v, ok := p.env[name]
	return v, ok
}

func (p *running) setenv(name, value string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.env[name] = value
}

// write replaces the configuration as editors do: it writes a new file and renames it.
func (p *running) write(config string) {
	p.t.Helper()
	replace(p.t, p.config, config)
}

func replace(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// await waits until the log matches pattern, and returns the last match's submatch, or the match
// itself if the pattern has no group.
func (p *running) await(pattern string) string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	var found []string
	eventually(p.t, "the log matches "+pattern, func() bool {
		found = re.FindStringSubmatch(p.log.String())
		return found != nil
	})
	return found[len(found)-1]
}

// count counts the matches in the log.
func (p *running) count(pattern string) int {
	return len(regexp.MustCompile(pattern).FindAllString(p.log.String(), -1))
}

// address returns the address of the nth listener of its kind that was started.
func (p *running) address(admin bool, n int) string {
	p.t.Helper()
	re := regexp.MustCompile(fmt.Sprintf(`msg=listening address=(\S+) admin=%t`, admin))
	var all [][]string
	eventually(p.t, "the listener is open", func() bool {
		all = re.FindAllStringSubmatch(p.log.String(), -1)
		return len(all) > n
	})
	return all[n][1]
}

func (p *running) url() string   { return "http://" + p.address(false, 0) }
func (p *running) admin() string { return "http://" + p.address(true, 0) }

// exit waits for the end of the program and checks its exit code.
func (p *running) exit(want int) {
	p.t.Helper()
	select {
	case got := <-p.code:
		p.code = nil
		if got != want {
			p.t.Errorf("exit code %d, want %d\n%s", got, want, p.log)
		}
	case <-time.After(patience):
		p.t.Fatalf("the program did not end\n%s", p.log)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timed out waiting until: %s", what)
		}
	}
}

// browser returns a client whose connections are closed when the test ends.
func browser(t *testing.T) *http.Client {
	t.Helper()
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

// get sends a GET request and returns the response with its body already read.
func get(t *testing.T, c *http.Client, url string) (*http.Response, string) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	return resp, drain(t, resp)
}

func drain(t *testing.T, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: %v", resp.Request.URL, err)
	}
	return string(body)
}

// mark returns X-Mark from a new response. It tells which configuration is in force.
func (p *running) mark(c *http.Client) string {
	p.t.Helper()
	resp, _ := get(p.t, c, p.url()+"/")
	return resp.Header.Get("X-Mark")
}

// serveOrigin starts an origin that stops when the test ends.
func serveOrigin(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func hello(t *testing.T) string {
	return serveOrigin(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })
}
