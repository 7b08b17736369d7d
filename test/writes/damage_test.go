package writes

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/test/gatewaytest"
	"github.com/penstock/penstock/test/load/program"
)

const fileConfig = `version: 1
server: {listen: [{address: "127.0.0.1:0"}]}
admin: {address: "127.0.0.1:0"}
writes: {path: %q}
upstreams: {origin: {targets: [%q]}}
routes:
  - name: items
    match: {path: "/items/{id}", methods: [GET, PUT]}
    upstream: origin
    writes: {policy: behind, queue: {retries: 1000, backoff: 2ms, max_backoff: 50ms}}
`

// put sends a write and returns its answer.
func put(t *testing.T, url, path, body string) *http.Response {
	t.Helper()
	req, err := http.NewRequest(http.MethodPut, url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp
}

// killedFile is the file of a gateway that was killed with writes queued, of which path p has the numbers from 0 to each-1.
func killedFile(t *testing.T, paths, each int) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "writes.db")
	p := gateway.Start(t, fmt.Sprintf(fileConfig, file, "http://127.0.0.1:1"))
	for n := range each {
		for i := range paths {
			if resp := put(t, "http://"+p.Public(), Path(i), fmt.Sprint(n)); resp.StatusCode != http.StatusAccepted {
				t.Fatal(resp.Status)
			}
		}
	}
	p.Signal(syscall.SIGKILL)
	p.Wait()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// spoil damages a copy of a file. exact is set if every write is either applied or told to be lost after that.
func spoil(file []byte, random *rand.Rand) (spoilt []byte, how string, exact bool) {
	b := bytes.Clone(file)
	switch random.IntN(3) {
	case 0:
		at := random.IntN(len(b))
		b[at] ^= 1 << random.IntN(8)
		return b, fmt.Sprintf("a bit flipped at %d", at), true
	case 1:
		n := random.IntN(len(b))
		return b[:n], fmt.Sprintf("cut to %d of %d bytes", n, len(b)), false
	}
	at := random.IntN(len(b)/4096) * 4096
	clear(b[at : at+4096])
	return b, fmt.Sprintf("page %d zeroed", at/4096), true
}

// TestStartsWithDamage: with any damage to the queue's file the gateway starts and serves reads. What reaches the upstream is what was accepted, in its
// order, and what does not is told to be lost.
func TestStartsWithDamage(t *testing.T) {
	const paths, each = 8, 8
	file := killedFile(t, paths, each)
	seed := uint64(time.Now().UnixNano())
	for n := range size(6, 200) {
		spoilt, how, exact := spoil(file, rand.New(rand.NewPCG(seed, uint64(n))))
		t.Run(fmt.Sprintf("seed %d damage %d", seed, n), func(t *testing.T) {
			t.Logf("damage: %s", how)
			path := filepath.Join(t.TempDir(), "writes.db")
			if err := os.WriteFile(path, spoilt, 0o600); err != nil {
				t.Fatal(err)
			}
			u := NewUpstream(t)
			p := gateway.Start(t, fmt.Sprintf(fileConfig, path, u.URL))
			lost := 0
			if exact {
				gatewaytest.Eventually(t, "each write is applied or lost", func() bool {
					lost = p.Count(`a queued write was lost`)
					return u.Count()+lost >= paths*each
				})
			} else {
				gatewaytest.Eventually(t, "nothing waits", func() bool { return waiting(t, p) == 0 })
			}
			for i := range paths {
				got := u.Log(Path(i))
				if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) || len(got) > 0 && (got[0] < 0 || got[len(got)-1] >= each) {
					t.Errorf("%s: the upstream has %v", Path(i), got)
				}
			}
			t.Logf("%d of %d applied, %d lost", u.Count(), paths*each, lost)
			if exact && lost > each {
				t.Errorf("%d are lost", lost)
			}
		})
	}
}

// waiting is how many writes the gateway has queued, 0 if its file can't be used.
func waiting(t *testing.T, p *program.Process) int {
	t.Helper()
	var answer struct{ Pending int }
	getJSON(t, "http://"+p.Admin()+"/writes", &answer)
	return answer.Pending
}

func getJSON(t *testing.T, url string, into any) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
}

// TestUnusableFile: while the queue's file can't be used reads are served and writes refused, readiness and metrics say so, and once it can writes are accepted.
func TestUnusableFile(t *testing.T) {
	u := gatewaytest.NewOrigin(t, gatewaytest.Text("read"))
	path := filepath.Join(t.TempDir(), "writes.db")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	p := gateway.Start(t, fmt.Sprintf(fileConfig, path, u.URL))
	url := "http://" + p.Public()
	resp, err := http.Get(url + "/items/1")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("a read: %v, %v", resp, err)
	}
	resp.Body.Close()
	if resp := put(t, url, "/items/1", "1"); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("a write: %s, Retry-After %q", resp.Status, resp.Header.Get("Retry-After"))
	}
	var ready struct {
		Status string
		Writes struct{ State, Error string }
	}
	getJSON(t, "http://"+p.Admin()+"/readyz", &ready)
	if ready.Status != "ready" || ready.Writes.State != "refused" || !strings.Contains(ready.Writes.Error, "name a file in this directory") {
		t.Errorf("/readyz: %+v", ready)
	}
	metrics := func() string {
		resp, err := http.Get("http://" + p.Admin() + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if !strings.Contains(metrics(), "\npenstock_writes_accepted 0\n") {
		t.Error("the metric does not say so")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	gatewaytest.Eventually(t, "writes are accepted", func() bool { return put(t, url, "/items/1", "1").StatusCode == http.StatusAccepted })
	if !strings.Contains(metrics(), "\npenstock_writes_accepted 1\n") {
		t.Error("the metric does not say so")
	}
}
