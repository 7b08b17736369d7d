package writes

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/test/load/program"
	"github.com/penstock/penstock/test/redistest"
)

// gateways are instances that are killed and started again.
type gateways struct {
	t      *testing.T
	config string

	mu      sync.Mutex
	running []*program.Process
	urls    []string
}

func (g *gateways) start(i int) {
	p := gateway.Start(g.t, g.config)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running[i], g.urls[i] = p, "http://"+p.Public()
}

// target is one of them, which may be dead.
func (g *gateways) target() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.urls[rand.IntN(len(g.urls))]
}

// kill ends one without a warning and starts it again.
func (g *gateways) kill(i int) {
	g.mu.Lock()
	p := g.running[i]
	g.mu.Unlock()
	p.Signal(syscall.SIGKILL)
	p.Wait()
	g.start(i)
}

// pause stops one for so long that it loses what it holds, and lets it go on.
func (g *gateways) pause(i int, d time.Duration) {
	g.mu.Lock()
	p := g.running[i]
	g.mu.Unlock()
	p.Signal(syscall.SIGSTOP)
	time.Sleep(d) // the length of the stop is what is tested
	p.Signal(syscall.SIGCONT)
}

// round is one way of keeping the queue.
type round struct {
	instances int
	store     string // keys of the configuration
	pauses    int
}

func run(t *testing.T, r round, writes, kills int) {
	u := NewUpstream(t)
	g := &gateways{t: t, running: make([]*program.Process, r.instances), urls: make([]string, r.instances), config: fmt.Sprintf(`version: 1
server: {listen: [{address: "127.0.0.1:0"}]}
admin: {address: "127.0.0.1:0"}
%s
upstreams: {origin: {targets: [%q]}}
routes:
  - name: items
    match: {path: "/items/{id}", methods: [GET, PUT]}
    upstream: origin
    writes: {policy: behind, queue: {retries: 1000, backoff: 2ms, max_backoff: 50ms}}
`, r.store, u.URL)}
	for i := range r.instances {
		g.start(i)
	}
	c := &Clients{Paths: 50, Each: writes / 50, Target: g.target}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	began := time.Now()
	go func() { ended <- c.Run(ctx) }()
	killed := g.trouble(c, writes, kills, r.pauses)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	for end := time.Now().Add(time.Minute); u.Count() < writes && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	lost := compare(t, u, c)
	calls, failures, repeats := u.Report()
	t.Logf("%d writes acknowledged (%d repeated by clients) in %v, %d kills, %d stops; upstream: %d calls, %d failed, %d repeated ones not applied again; all applied %v later; %d lost",
		c.acknowledged.Load(), c.repeated.Load(), took.Round(time.Millisecond), killed, r.pauses, calls, failures, repeats, (time.Since(began) - took).Round(time.Millisecond), lost)
	statesAreDone(t, g, c)
}

// trouble kills and stops instances at random moments, spread over the writes. It returns how many it has killed.
func (g *gateways) trouble(c *Clients, writes, kills, pauses int) int {
	total := kills + pauses
	for n := range total {
		at := int64(writes*n/total) + rand.Int64N(int64(writes/total))
		for c.acknowledged.Load() < at {
			time.Sleep(time.Millisecond)
		}
		i := rand.IntN(len(g.running))
		if n%2 == 1 && pauses > 0 {
			pauses--
			g.pause(i, 4*time.Second)
			continue
		}
		g.kill(i)
	}
	return kills
}

// compare holds the upstream against what was acknowledged.
func compare(t *testing.T, u *Upstream, c *Clients) (lost int) {
	t.Helper()
	want := make([]int, c.Each)
	for n := range want {
		want[n] = n
	}
	for p := range c.Paths {
		got := u.Log(Path(p))
		lost += c.Each - len(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: the upstream has %v, acknowledged was 0 to %d", Path(p), got, c.Each-1)
		}
	}
	return lost
}

// statesAreDone asks for the states of all writes.
func statesAreDone(t *testing.T, g *gateways, c *Clients) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for i := 0; i < len(c.locations); i += 1 + len(c.locations)/500 {
		for {
			state := stateOf(t, g.target()+c.locations[i])
			if state == "done" {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s is %s", c.locations[i], state)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func stateOf(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "writes.test"
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct{ State string }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return resp.Status
	}
	return answer.State
}

func TestKilledWithAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "writes.db")
	run(t, round{instances: 1, store: fmt.Sprintf("writes: {path: %q}", path)}, size(1000, 20_000), size(3, 50))
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestKilledWithRedis(t *testing.T) {
	redis := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	store := fmt.Sprintf("cache: {redis: {url: %q, timeout: 2s}}", redis.URL())
	run(t, round{instances: 2, store: store, pauses: size(0, 5)}, size(1000, 20_000), size(2, 50))
}
