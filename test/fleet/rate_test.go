package fleet

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	rateEach  = 400 * time.Millisecond
	rateBurst = 10
)

// limited is a route with a shared limit for each value of a field.
var limited = fmt.Sprintf("- {name: limited, match: {path: /limited/*}, rate_limit: {rate: %d/m, burst: %d, by: \"header:accept-language\", shared: true}}\n",
	time.Minute/rateEach, rateBurst)

// attempt is a request of a client, in the client's time.
type attempt struct {
	sent, received time.Time
	accepted       bool
}

// ask has clients send requests for a time, one after the other, to each instance in turn. Every
// answer must be the response or a refusal. It returns the attempts of each client, in order.
func (b *bench) ask(t *testing.T, clients int, length, pause time.Duration) [][]attempt {
	t.Helper()
	all := make([][]attempt, clients)
	var wg sync.WaitGroup
	for n := range all { // opens the connections, so that the first attempts are as quick as the others
		wg.Go(func() {
			for _, i := range b.Fleet {
				i.Do(Request{Path: "/limited/warm", Language: "w" + strconv.Itoa(n)})
			}
		})
	}
	wg.Wait()
	end := time.Now().Add(length)
	for n := range all {
		wg.Go(func() {
			q := Request{Path: "/limited/" + strconv.Itoa(n), Language: "c" + strconv.Itoa(n)}
			for i := n; time.Now().Before(end); i++ {
				x := attempt{sent: time.Now()}
				a := b.Fleet[i%len(b.Fleet)].Do(q)
				x.received = time.Now()
				if x.accepted = a.Status == http.StatusOK; x.accepted {
					if err := a.Wrong(q); err != nil {
						t.Error(err)
					}
				} else if a.Err != nil || a.Status != http.StatusTooManyRequests || a.Header.Get("Retry-After") == "" {
					t.Errorf("client %d: %v", n, a)
				}
				all[n] = append(all[n], x)
				time.Sleep(pause)
			}
		})
	}
	wg.Wait()
	return all
}

// acceptedOf returns the number of accepted requests.
func acceptedOf(attempts []attempt) (n int) {
	for _, x := range attempts {
		if x.accepted {
			n++
		}
	}
	return n
}

// most returns the limit of the requests that may be accepted from the first attempt to the last.
func most(attempts []attempt) int {
	return rateBurst + int(attempts[len(attempts)-1].received.Sub(attempts[0].sent)/rateEach)
}

// TestSharedLimitIsExact: no client gets more than the limit from three instances together, and
// each refused request comes when the limit is used up.
func TestSharedLimitIsExact(t *testing.T) {
	b := three(t, Setup{Routes: limited})
	all := b.ask(t, size(20, 200), size(3*time.Second, 20*time.Second), size(20*time.Millisecond, 150*time.Millisecond))
	for _, i := range b.Fleet {
		if alone := i.metric(t, `penstock_rate_limit_local_total{route="limited"}`); alone > 0 {
			t.Logf("%s has judged %v requests alone", i.Name, alone)
		}
	}
	accepted, limit, asked := 0, 0, 0
	for n, attempts := range all {
		got := acceptedOf(attempts)
		if want := most(attempts); got > want {
			t.Errorf("client %d: %d requests accepted, where %d are allowed", n, got, want)
		}
		for i, x := range attempts {
			if !x.accepted && !atTheLimit(attempts[:i], x) {
				t.Errorf("client %d: request %d of %d is refused below the limit", n, i, len(attempts))
			}
		}
		accepted, limit, asked = accepted+got, limit+rateBurst+int(attempts[len(attempts)-1].sent.Sub(attempts[0].sent)/rateEach), asked+len(attempts)
	}
	t.Logf("%d clients: %d requests, %d accepted, limit %d: %.2f %%", len(all), asked, accepted, limit, 100*float64(accepted)/float64(limit))
	if *full && float64(accepted) < 0.99*float64(limit) {
		t.Errorf("%d requests accepted, where the limit is %d; on a machine that is too busy for one request in %v the clients do not ask for as much", accepted, limit, rateEach)
	}
}

// atTheLimit reports whether the attempts before a refused one have used up the limit. Since some
// moment at which the whole burst was available, they must have used the burst and all that became
// available since. It holds however slowly the clients ask.
func atTheLimit(before []attempt, refused attempt) bool {
	used := 0
	for i := len(before) - 1; i >= 0; i-- {
		if before[i].accepted {
			used++
		}
		if used >= rateBurst+int(refused.sent.Sub(before[i].received)/rateEach) {
			return true
		}
	}
	return false
}

// TestSharedLimitWhileRedisIsPaused: clients get responses or 429, and never more than each instance
// alone would accept. Metrics tell that instances judge alone, and afterwards they share again.
func TestSharedLimitWhileRedisIsPaused(t *testing.T) {
	t.Parallel()
	b := three(t, Setup{Routes: limited, Tier: "timeout: 100ms"})
	done := make(chan [][]attempt)
	length := size(4*time.Second, 20*time.Second)
	go func() { done <- b.ask(t, size(20, 200), length, 30*time.Millisecond) }()
	time.Sleep(length / 4)
	b.redis.Pause()
	time.Sleep(length / 4)
	b.redis.Resume()
	all := <-done
	accepted, limit := 0, 0
	for n, attempts := range all {
		got, want := acceptedOf(attempts), len(b.Fleet)*most(attempts)
		if got > want {
			t.Errorf("client %d: %d requests accepted, where %d are allowed", n, got, want)
		}
		accepted, limit = accepted+got, limit+most(attempts)
	}
	alone := 0.0
	for _, i := range b.Fleet {
		alone += i.metric(t, `penstock_rate_limit_local_total{route="limited"}`)
	}
	t.Logf("%d clients: %d accepted, %.0f %% of the limit of one instance; %.0f judged alone", len(all), accepted, 100*float64(accepted)/float64(limit), alone)
	if alone == 0 {
		t.Error("metrics do not say that instances judge alone")
	}
	for _, i := range b.Fleet {
		redisIs(t, i, "up")
	}
	eventually(t, "the instances share again", 20*time.Second, func() bool {
		before := b.a.metric(t, `penstock_rate_limit_local_total{route="limited"}`)
		b.a.Do(Request{Path: "/limited/x", Language: "x"})
		return b.a.metric(t, `penstock_rate_limit_local_total{route="limited"}`) == before
	})
}

// metric returns a value of an instance's metrics.
func (i *Instance) metric(t *testing.T, name string) float64 {
	t.Helper()
	resp, err := i.client.Get(i.Admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	return 0
}
