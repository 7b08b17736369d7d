package cost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/proxy/observe"
)

// gateway provides the figures that an account reads. The test sets them.
type gateway struct {
	mu   sync.Mutex
	rows map[observe.Series]observe.Counts
}

func (g *gateway) Read() observe.Reading {
	g.mu.Lock()
	defer g.mu.Unlock()
	var r observe.Reading
	for s, c := range g.rows {
		r.Rows = append(r.Rows, observe.Row{Series: s, Counts: c})
	}
	return r
}

// count adds requests of a route with the same cache status, each with the given number of bytes.
func (g *gateway) count(route, cache string, requests, bytes uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.rows == nil {
		g.rows = make(map[observe.Series]observe.Counts)
	}
	s := observe.Series{Route: route, Method: "GET", Status: "2xx", Cache: cache}
	c := g.rows[s]
	c.Requests += requests
	c.BytesOut += requests * bytes
	switch cache {
	case observe.CacheHit:
		c.BytesSavedByCache += requests * bytes
	case observe.CacheMiss, observe.CachePass:
		c.OriginRequests += requests
		c.BytesFromOrigin += requests * bytes
	}
	g.rows[s] = c
}

// journal is a log that tests can read.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) count(text string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.buf.String(), text)
}

// now returns half an hour before the end of a month when a synctest bubble starts.
func now() time.Time { return time.Now().AddDate(0, 0, 30).Add(23*time.Hour + 30*time.Minute) }

// prices are those of the documented example.
var prices = Prices{EgressPerGB: 90_000, OriginPerGB: 20_000, OriginPerMillionRequests: 600_000}

func open(t *testing.T, g *gateway, k Keeper, s Settings, log *journal) *Account {
	t.Helper()
	s.Currency, s.Prices = "USD", prices
	return Open(Config{
		Read: g.Read, Keeper: k, Writer: fmt.Sprint(t.Name(), time.Now().UnixNano()), Settings: s, Now: now,
		Log: slog.New(slog.NewTextHandler(log, nil)), Client: &http.Client{Transport: http.NewFileTransport(http.Dir(t.TempDir()))},
	})
}

func shut(t *testing.T, a *Account) {
	t.Helper()
	if err := a.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestAccountToTheCent counts known bytes and hits, over a restart, and compares the money with a
// hand-made calculation.
func TestAccountToTheCent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "cost.json")
		g, log := new(gateway), new(journal)
		a := open(t, g, NewFile(path), Settings{}, log)
		g.count("api", observe.CacheMiss, 1_000_000, 20_000) // 20 GB from the origin and out
		g.count("api", observe.CacheHit, 9_000_000, 20_000)  // 180 GB to clients only
		time.Sleep(Interval)
		shut(t, a)

		second := new(gateway) // another process, which counts from zero
		second.count("api", observe.CacheHit, 7, 7)
		a = open(t, second, NewFile(path), Settings{}, log)
		defer shut(t, a)
		synctest.Wait() // until it has read the kept account
		second.count("live", observe.CachePass, 2_500_000, 1_000)
		second.count("live", observe.CacheNone, 77, 0)
		r := a.Report()
		for _, c := range []struct {
			what, got, want string
		}{
			{"api egress: 200 GB × 0.09", r.Routes[0].SpentEgress.Amount, "18.00"},
			{"api origin bytes: 20 GB × 0.02", r.Routes[0].SpentOriginBytes.Amount, "0.40"},
			{"api origin calls: 1 M × 0.60", r.Routes[0].SpentOriginCalls.Amount, "0.60"},
			{"api", r.Routes[0].Spent.Amount, "19.00"},
			{"api saved: 180 GB × 0.02 + 9 M × 0.60", r.Routes[0].Saved.Amount, "9.00"},
			{"live: 2.5 GB × 0.11 + 2.5 M × 0.60 = 1.775", r.Routes[1].Spent.Amount, "1.78"},
			{"live saved", r.Routes[1].Saved.Amount, "0.00"},
			{"total", r.Total.Spent.Amount, "20.78"},
			{"total saved", r.Total.Saved.Amount, "9.00"},
			{"requests", fmt.Sprint(r.Total.Requests), "12500000"},
			{"avoided", fmt.Sprint(r.Total.OriginRequestsAvoided), "9000000"},
			{"kept in", r.Kept.In, "file"},
		} {
			if c.got != c.want {
				t.Errorf("%s: %s, want %s", c.what, c.got, c.want)
			}
		}
	})
}

// TestMonthsAreApart checks that usage after midnight on the first counts for the new month, and
// that the old month can still be read.
func TestMonthsAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, log := new(gateway), new(journal)
		a := open(t, g, NewMemory(), Settings{}, log)
		defer shut(t, a)
		g.count("api", observe.CacheMiss, 1000, 1_000_000) // 1 GB
		first := a.Report().Month
		time.Sleep(Interval + time.Second)
		_, end := first.bounds()
		time.Sleep(end.Add(time.Second).Sub(now()))
		g.count("api", observe.CacheMiss, 2000, 1_000_000)
		now := a.Report()
		if now.Month == first || now.Total.BytesOut != 2_000_000_000 || now.Since.Before(end) {
			t.Errorf("the new month: %+v", now)
		}
		time.Sleep(Interval)
		past, err := a.Past(t.Context(), first)
		if err != nil || past.Total.BytesOut != 1_000_000_000 || past.Projected.Amount != past.Total.Spent.Amount {
			t.Errorf("the month before: %+v %v", past, err)
		}
	})
}

// failing is a Keeper that loses the answer of each Add until told otherwise. It may or may not
// have kept the batch.
type failing struct {
	Keeper
	mu   sync.Mutex
	lost bool
}

func (f *failing) Add(ctx context.Context, b *Batch) (*Kept, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	k, err := f.Keeper.Add(ctx, b)
	if f.lost {
		return nil, errors.New("the answer is lost")
	}
	return k, err
}

// TestNothingIsCountedTwice loses the answer to a batch. The batch is sent again and counts once,
// and the log reports the problem once.
func TestNothingIsCountedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, log := new(gateway), new(journal)
		k := &failing{Keeper: NewMemory(), lost: true}
		a := open(t, g, k, Settings{}, log)
		defer shut(t, a)
		for range 5 {
			g.count("api", observe.CacheMiss, 10, 100)
			time.Sleep(Interval)
			if got := a.Report(); got.Kept.Problem == "" {
				t.Error("the report does not tell of the trouble")
			}
		}
		k.mu.Lock()
		k.lost = false
		k.mu.Unlock()
		time.Sleep(Interval + time.Second)
		kept, err := k.Month(t.Context(), MonthOf(now()))
		if err != nil || kept.Routes["api"].Requests != 50 || a.Report().Total.Requests != 50 {
			t.Errorf("%+v %v", kept, err)
		}
		if bad, good := log.count("cannot be written"), log.count("written again"); bad != 1 || good != 1 {
			t.Errorf("said %d times that it cannot be written and %d times that it can", bad, good)
		}
	})
}

// hook is a webhook with scripted responses.
type hook struct {
	mu     sync.Mutex
	status []int // returned in turn; then 200
	bodies []string
	at     []time.Time
}

func (h *hook) RoundTrip(r *http.Request) (*http.Response, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	h.bodies, h.at = append(h.bodies, string(body)), append(h.at, time.Now())
	status := http.StatusOK
	if len(h.status) > 0 {
		status, h.status = h.status[0], h.status[1:]
	}
	if status == 0 {
		return nil, errors.New("connection refused")
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Body: http.NoBody}, nil
}

func (h *hook) posts() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.bodies)
}

// budget is 1 USD, with alerts at 80 and 100 %.
func budget() Settings {
	return Settings{Budget: &Budget{Monthly: 1_000_000, AlertAt: []Share{ShareOf(0.8), ShareOf(1)}, Webhook: "https://hooks.example.com/secret"}}
}

func withHook(t *testing.T, g *gateway, k Keeper, h *hook, log *journal) *Account {
	t.Helper()
	s := budget()
	s.Currency, s.Prices = "USD", Prices{EgressPerGB: 1_000_000}
	return Open(Config{
		Read: g.Read, Keeper: k, Writer: fmt.Sprint(time.Now().UnixNano()), Settings: s, Now: now,
		Log: slog.New(slog.NewTextHandler(log, nil)), Client: &http.Client{Transport: h},
	})
}

// TestAlertsComeOnce checks that each share is reported once a month, whatever the webhook does,
// and over restarts.
func TestAlertsComeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "cost.json")
		log, h := new(journal), &hook{status: []int{0, 503, 429, 500}}
		g := new(gateway)
		a := withHook(t, g, NewFile(path), h, log)
		g.count("api", observe.CacheHit, 1, 799_999_999)
		time.Sleep(10 * time.Second)
		if h.posts() != 0 {
			t.Error("an alert before its time")
		}
		g.count("api", observe.CacheHit, 1, 1)
		time.Sleep(time.Minute)
		if h.posts() != 5 || log.count("a share of the budget is reached") != 1 || log.count("trying again") != 4 {
			t.Errorf("%d posts", h.posts())
		}
		if gap := h.at[4].Sub(h.at[3]); gap != 8*time.Second {
			t.Errorf("the pauses do not double: %v", h.at)
		}
		for _, want := range []string{`"share":"80%"`, `"spent":"0.80"`, `"budget":"1.00"`, `"currency":"USD"`, `"text":"Penstock: 80% of`} {
			if !strings.Contains(h.bodies[0], want) {
				t.Errorf("%s lacks %s", h.bodies[0], want)
			}
		}
		shut(t, a)

		g = new(gateway)
		a = withHook(t, g, NewFile(path), h, log)
		time.Sleep(time.Minute)
		if h.posts() != 5 {
			t.Error("told again after a restart")
		}
		g.count("api", observe.CacheHit, 1, 5_000_000_000)
		time.Sleep(time.Minute)
		if h.posts() != 6 || !strings.Contains(h.bodies[5], `"share":"100%"`) {
			t.Errorf("%d posts: %v", h.posts(), h.bodies)
		}
		alerts := a.Report().Budget.Alerts
		if len(alerts) != 2 || !alerts[0].Delivered || !alerts[1].Delivered || alerts[0].At == nil || !alerts[1].Reached {
			t.Errorf("%+v", alerts)
		}
		_, end := a.Report().Month.bounds()
		time.Sleep(end.Add(time.Minute).Sub(now()))
		g.count("api", observe.CacheHit, 1, 900_000_000)
		time.Sleep(time.Minute)
		if h.posts() != 7 || !strings.Contains(h.bodies[6], `"share":"80%"`) {
			t.Errorf("the next month: %v", h.bodies)
		}
		shut(t, a)
		if strings.Contains(log.buf.String(), "secret") {
			t.Error("the webhook's URL is in the log")
		}
	})
}

// TestAlertSurvivesItsProcess ends a process before the webhook accepts its alert. The next process
// delivers it.
func TestAlertSurvivesItsProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "cost.json")
		log, h := new(journal), &hook{status: []int{503, 503}}
		g := new(gateway)
		a := withHook(t, g, NewFile(path), h, log)
		g.count("api", observe.CacheHit, 1, 900_000_000)
		time.Sleep(1500 * time.Millisecond)
		shut(t, a)
		if h.posts() != 2 {
			t.Fatalf("%d posts", h.posts())
		}
		a = withHook(t, new(gateway), NewFile(path), h, log)
		time.Sleep(time.Minute)
		shut(t, a)
		if h.posts() != 3 {
			t.Errorf("%d posts", h.posts())
		}
	})
}

// TestAlertIsGivenUp checks that delivery stops at once if the webhook refuses the alert, and
// eventually if it never responds.
func TestAlertIsGivenUp(t *testing.T) {
	for name, c := range map[string]struct{ status, posts int }{"refused": {http.StatusNotFound, 1}, "redirected": {http.StatusFound, 1}, "down": {0, webhookTries}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, h, g := new(journal), new(hook), new(gateway)
				for range 100 {
					h.status = append(h.status, c.status)
				}
				a := withHook(t, g, NewMemory(), h, log)
				defer shut(t, a)
				g.count("api", observe.CacheHit, 1, 900_000_000)
				time.Sleep(25 * time.Minute)
				told := a.Report().Budget.Alerts[0]
				if h.posts() != c.posts || log.count("giving up") != 1 || told.At == nil || told.Delivered {
					t.Errorf("%d posts, %+v", h.posts(), told)
				}
			})
		})
	}
}

// TestFileIsOneGateways opens a second account on the same file. It waits for the first to end and
// loses nothing.
func TestFileIsOneGateways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "cost.json")
		old, next, log := new(gateway), new(gateway), new(journal)
		a, b := open(t, old, NewFile(path), Settings{}, log), (*Account)(nil)
		old.count("api", observe.CacheHit, 10, 1)
		time.Sleep(Interval + time.Second)
		b = open(t, next, NewFile(path), Settings{}, log)
		next.count("api", observe.CacheHit, 100, 1)
		time.Sleep(Interval + time.Second)
		if r := b.Report(); r.Total.Requests != 100 || !strings.Contains(r.Kept.Problem, "another gateway") {
			t.Errorf("%+v", r)
		}
		old.count("api", observe.CacheHit, 1000, 1)
		shut(t, a)
		time.Sleep(Interval + time.Second)
		if r := b.Report(); r.Total.Requests != 1110 || r.Kept.Problem != "" {
			t.Errorf("%+v", r)
		}
		shut(t, b)
	})
}

// TestForeignFileIsLeftAlone checks that a file that is not an account is neither read nor
// overwritten.
func TestForeignFileIsLeftAlone(t *testing.T) {
	for _, text := range []string{"", "{}", `{"version":2,"months":{}}`, `{"version":1,"months":{"x":{}}}`, `{"version":1,"months":{"2026-11":null}}`, "my poems"} {
		synctest.Test(t, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "cost.json")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			g, log := new(gateway), new(journal)
			a := open(t, g, NewFile(path), Settings{}, log)
			g.count("api", observe.CacheHit, 10, 1)
			time.Sleep(time.Minute)
			if r := a.Report(); r.Total.Requests != 10 || r.Kept.Problem == "" || log.count("cannot be written") != 1 {
				t.Errorf("%q: %+v", text, r)
			}
			shut(t, a)
			if now, err := os.ReadFile(path); err != nil || string(now) != text {
				t.Errorf("%q became %q", text, now)
			}
		})
	}
}

// TestDamagedFile flips each bit of an account and cuts it at each position. The error says what to
// do. An account of an earlier build, without a checksum, is accepted.
func TestDamagedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cost.json")
	k := NewFile(path)
	if _, err := k.Add(t.Context(), &Batch{Serial: 1, Month: "2026-11", Since: time.Unix(1_790_000_000, 0).UTC(), Routes: map[string]Usage{"api": {Requests: 12_345}}}); err != nil {
		t.Fatal(err)
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := parseBook(sound)
	if err != nil || want.months["2026-11"].Routes["api"].Requests != 12_345 {
		t.Fatalf("%+v, %v", want, err)
	}
	for bit := range 8 * len(sound) {
		spoilt := bytes.Clone(sound)
		spoilt[bit/8] ^= 1 << (bit % 8)
		if b, err := parseBook(spoilt); err == nil && !reflect.DeepEqual(b, want) {
			t.Errorf("bit %d: %s is taken for an account", bit, spoilt)
		}
	}
	for n := range len(sound) {
		_, err := parseBook(sound[:n])
		if err == nil {
			t.Errorf("cut to %d bytes it is taken for an account", n)
		} else if n > 20 && !errors.Is(err, errDamaged) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
	older := regexp.MustCompile(`"sum":"[0-9a-f]*",`).ReplaceAll(sound, nil)
	if b, err := parseBook(older); err != nil || !reflect.DeepEqual(b, want) {
		t.Errorf("of an earlier build: %+v, %v", b, err)
	}
}

// TestOldMonthsGo checks that a year and a month are kept.
func TestOldMonthsGo(t *testing.T) {
	k := NewMemory()
	for i := range 30 {
		m := Month("2024-01").Back(-i)
		if _, err := k.Add(t.Context(), &Batch{Serial: uint64(i + 1), Month: m, Since: time.Now(), Routes: map[string]Usage{"a": {Requests: 1}}}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(k.(*solitary).book.months); n != Months {
		t.Errorf("%d months are kept", n)
	}
}
