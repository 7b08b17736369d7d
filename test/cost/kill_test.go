package cost

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/test/load/program"
	"github.com/penstock/penstock/test/redistest"
)

// account is what the test reads of GET /api/cost.
type account struct {
	Total struct {
		Requests       uint64
		OriginRequests uint64 `json:"origin_requests"`
		BytesOut       uint64 `json:"bytes_out"`
		Spent          struct{ Amount string }
	}
	Kept struct{ In string }
}

func read(t *testing.T, p *program.Process) (a account) {
	t.Helper()
	resp, err := http.Get("http://" + p.Admin() + "/api/cost")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		t.Fatal(err)
	}
	return a
}

// ask has the gateway answer n times with a thousand bytes.
func ask(t *testing.T, p *program.Process, n int) {
	t.Helper()
	for range n {
		resp, err := http.Get("http://" + p.Public() + "/")
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
}

// settled waits until n requests more than was read are counted whole: a client has its answer a moment before that is.
func settled(t *testing.T, p *program.Process, from account, n uint64) (a account) {
	t.Helper()
	for end := time.Now().Add(program.Patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if a = read(t, p); a.Total.Requests == from.Total.Requests+n && a.Total.OriginRequests == from.Total.OriginRequests+n &&
			a.Total.BytesOut == from.Total.BytesOut+1000*n {
			return a
		}
	}
	t.Errorf("not %d requests more than %+v: %+v", n, from, a)
	return a
}

// TestKill: of a gateway that is killed, the account loses what was counted in the seconds since it was written last, and no more; one that is
// stopped loses nothing. Whether a file or Redis keeps it.
func TestKill(t *testing.T) {
	binary, err := program.Build(t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Write(make([]byte, 1000))
	}))
	defer origin.Close()
	for _, place := range []string{"file", "redis"} {
		t.Run(place, func(t *testing.T) {
			file, redis := "", ""
			if place == "file" {
				file = fmt.Sprintf(", file: %q", filepath.Join(t.TempDir(), "cost.json"))
			} else {
				redis = fmt.Sprintf("cache: {redis: {url: %q, timeout: 1s}}", redistest.Start(t).URL())
			}
			config := fmt.Sprintf(`
version: 1
server: {listen: [{address: "127.0.0.1:0"}], timeouts: {drain: 1s}}
admin: {address: "127.0.0.1:0"}
%s
upstreams: {o: {targets: [%q]}}
routes: [{name: all, match: {path: /*}, upstream: o, cache: {enabled: true}}]
cost: {egress_per_gb: 1000, origin_per_gb: 2000, origin_per_million_requests: 10000%s}
`, redis, origin.URL, file)

			first := binary.Start(t, config)
			ask(t, first, 100)
			if a := settled(t, first, account{}, 100); a.Total.Spent.Amount != "1.30" || a.Kept.In != place { // 0.1 MB × 3000/GB + 100 × 0.01
				t.Fatalf("%+v", a)
			}
			time.Sleep(5 * time.Second) // two intervals and more: what is promised to be kept by now
			ask(t, first, 7)
			first.Signal(syscall.SIGKILL)
			first.Wait()

			second := binary.Start(t, config)
			var a account
			for end := time.Now().Add(program.Patience); a.Total.Requests < 100 && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
				a = read(t, second)
			}
			if a.Total.Requests < 100 || a.Total.Requests > 107 {
				t.Errorf("after a kill: %+v", a)
			}
			ask(t, second, 3)
			before := settled(t, second, a, 3)
			second.Signal(syscall.SIGTERM)
			second.Wait()

			third := binary.Start(t, config)
			if a = settled(t, third, before, 0); a != before {
				t.Errorf("after a stop: %+v, before %+v", a, before)
			}
		})
	}
}
