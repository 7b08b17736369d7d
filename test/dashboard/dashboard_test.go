package dashboard

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/test/browsertest"
	"github.com/penstock/penstock/test/load/program"
)

const token = "operators-only"

const gatewayYAML = `
version: 1
server: {listen: [{address: "127.0.0.1:0"}], timeouts: {drain: 1s}}
admin: {address: "127.0.0.1:0", token: %s}
cache: {memory: {size: 64MiB}}
upstreams:
  api: {targets: [%q]}
  web: {targets: [%q, %q]}
  reports-of-the-accounting-department-and-others: {targets: ["http://127.0.0.1:9"]}
defaults: {cache: {enabled: true}, compress: {min_size: 500}}
routes:
  - {name: users, match: {path: "/api/users/{id}"}, upstream: api, cache: {tags: {from: ["user:{id}"]}}}
  - {name: orders-of-all-shops-and-customers, match: {path: /api/orders/*}, upstream: api}
  - {name: reports, match: {path: /api/reports/*}, upstream: reports-of-the-accounting-department-and-others}
  - {name: account, match: {path: /api/account}, upstream: api, cache: {enabled: false}}
  - {name: web, match: {path: /*}, upstream: web}
cost: {currency: USD, egress_per_gb: 90, origin_per_gb: 20, origin_per_million_requests: 600, budget: {monthly: 0.5, alert_at: [1%%, 80%%]}}
`

// origin answers with JSON of some thousand bytes, slowly where the path says so.
func origin(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "slow") {
			select {
			case <-time.After(150 * time.Millisecond):
			case <-r.Context().Done():
			}
		}
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path != "/api/account" {
			w.Header().Set("Cache-Control", "max-age=2, stale-while-revalidate=5")
		}
		fmt.Fprintf(w, `{"path":%q,"text":%q}`, r.URL.Path, strings.Repeat("penstock ", 400))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// load asks for a mix of paths until ctx ends.
func load(ctx context.Context, base string, running *sync.WaitGroup) {
	for worker := range 4 {
		running.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for i := worker; ctx.Err() == nil; i++ {
				path := fmt.Sprintf("/page/%d", i%40)
				switch i % 23 {
				case 1, 2, 3, 4, 5:
					path = fmt.Sprintf("/api/users/%d", i%11)
				case 6, 7:
					path = fmt.Sprintf("/api/orders/%d?token=hunter2", i%300)
				case 8:
					path = "/api/account"
				case 9:
					path = "/api/orders/slow"
				case 10:
					if i%5 == 0 {
						path = "/api/reports/1"
					}
				}
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
				if err != nil {
					return
				}
				if i%3 > 0 {
					req.Header.Set("Accept-Encoding", "gzip")
				}
				if resp, err := client.Do(req); err == nil {
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				pause := time.NewTimer(2 * time.Millisecond)
				select {
				case <-pause.C:
				case <-ctx.Done():
				}
			}
		})
	}
}

// TestDashboard runs dashboard.mjs, which says what an operator is to see. SHOTS names a folder for its screenshots.
func TestDashboard(t *testing.T) {
	dir := browsertest.Tools(t)
	binary, err := program.Build(t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	one := origin(t)
	p := binary.Start(t, fmt.Sprintf(gatewayYAML, token, one, one, origin(t)))
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	script := exec.CommandContext(ctx, "node", "dashboard.mjs")
	script.Env = append(os.Environ(), "TOOLS="+dir, "ADMIN=http://"+p.Admin(), "TOKEN="+token, "PROFILE="+t.TempDir(), "LOAD="+os.Getenv("LOAD_SECONDS"))
	// The script says when it wants load, and when the gateway is to go.
	out, err := script.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaints strings.Builder
	script.Stderr = &complaints
	if err := script.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	for line := range lines(out) {
		switch {
		case line == "LOAD":
			load(ctx, "http://"+p.Public(), &running)
		case line == "KILL":
			p.Signal(syscall.SIGKILL)
			p.Wait()
		default:
			said.WriteString(line + "\n")
		}
	}
	if err := script.Wait(); err != nil {
		t.Errorf("%v\n%s%s", err, &said, &complaints)
	}
	t.Logf("\n%s", &said)
}
