package proxy

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/observe"
)

// writesBench is a gateway whose configuration changes, without a listener.
type writesBench struct {
	*Gateway
	t      *testing.T
	dir    string
	origin string
	mu     sync.Mutex
	tried  []observe.Write
}

func (b *writesBench) Finish(*observe.Event, *http.Request) {}
func (b *writesBench) Hit(*observe.Hit)                     {}
func (b *writesBench) Tried(w *observe.Write) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tried = append(b.tried, *w)
}

// config has the queue in a file of that name, "" for none, and a route for /a/* with these further keys.
func (b *writesBench) config(file, route string) *config.Config {
	b.t.Helper()
	yaml := "version: 1\nupstreams:\n  origin: {targets: [" + b.origin + "]}\nroutes:\n  - {name: other, match: {path: /*}, upstream: origin}\n"
	if route != "" {
		yaml += "  - {name: a, match: {path: /a/*}, upstream: origin, " + route + "}\n"
	}
	if file != "" {
		yaml += fmt.Sprintf("writes: {path: %q}\n", filepath.Join(b.dir, file))
	}
	cfg, err := config.Parse("gateway.yaml", []byte(yaml), os.LookupEnv, os.ReadFile)
	if err != nil {
		b.t.Fatal(err)
	}
	return cfg
}

func newWritesBench(t *testing.T, status int, file, route string) *writesBench {
	t.Helper()
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status) }))
	t.Cleanup(origin.Close)
	b := &writesBench{t: t, dir: t.TempDir(), origin: origin.URL}
	var err error
	if b.Gateway, err = New(b.config(file, route), Options{Log: slog.New(slog.DiscardHandler), Sink: b}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return b
}

// askAdmin sends a request and decodes the answer.
func askAdmin(t *testing.T, h http.Handler, method, path, body string) (int, http.Header, map[string]any) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, "http://localhost"+path, strings.NewReader(body)))
	var answer map[string]any
	_ = json.Unmarshal(w.Body.Bytes(), &answer) // some have none
	return w.Code, w.Header(), answer
}

// reaches waits until the state at a path is the one wanted.
func (b *writesBench) reaches(path, state string) map[string]any {
	b.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		_, _, answer := askAdmin(b.t, b, "GET", path, "")
		if answer["state"] == state {
			return answer
		}
		if time.Now().After(end) {
			b.t.Fatalf("%s is %v, not %s", path, answer, state)
		}
	}
}

func (b *writesBench) eventually(what string, ok func() bool) {
	b.t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("it did not come about that %s", what)
		}
	}
}

const behindKeys = "writes: {policy: behind, queue: {retries: 2, backoff: 1ms, max_backoff: 2ms}}"

// TestRouteThatGoes: a write whose route a reload has removed is tried, becomes a dead letter that says so, and can be replayed when the route is back.
func TestRouteThatGoes(t *testing.T) {
	b := newWritesBench(t, 204, "w.db", "writes: {policy: behind, queue: {retries: 2, backoff: 200ms, max_backoff: 200ms}}")
	admin := b.Admin("", nil)
	s := b.snapshot.Load()
	if err := b.Apply(b.config("w.db", "")); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("PUT", "http://localhost/a/1", strings.NewReader("x"))) // it began before
	location := w.Header().Get("Location")
	if w.Code != 202 {
		t.Fatal(w.Code)
	}
	b.reaches(location, "dead")
	var shown map[string]any
	b.eventually("it is listed", func() bool {
		_, _, shown = askAdmin(t, admin, "GET", "/writes", "")
		return shown["dead"] == 1.0 && shown["pending"] == 0.0
	})
	letters := fmt.Sprint(shown["letters"])
	if !strings.Contains(letters, "given up after 3 tries") || !strings.Contains(letters, "route a: the running configuration has no such route") {
		t.Errorf("%v", shown)
	}
	if err := b.Apply(b.config("w.db", behindKeys)); err != nil {
		t.Fatal(err)
	}
	if status, _, answer := askAdmin(t, admin, "POST", "/writes/replay", `{"all": true}`); status != 200 || answer["count"] != 1.0 {
		t.Errorf("%d %v", status, answer)
	}
	b.reaches(location, "done")
	b.eventually("all tries are told of", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.tried) == 4
	})
	if b.tried[2].State != "dead" || b.tried[3].State != "done" || b.tried[3].Status != 204 || b.tried[3].Route != "a" {
		t.Errorf("%+v", b.tried)
	}
}

// TestReloadOfWrites: the first route that needs a queue may come with a reload; what the queue is made of may not change.
func TestReloadOfWrites(t *testing.T) {
	b := newWritesBench(t, 204, "", "")
	if _, _, _, ok := b.QueuedWrites(t.Context()); ok {
		t.Error("there are figures of a queue that is not there")
	}
	if status, _, _ := askAdmin(t, b.Admin("", nil), "GET", "/writes", ""); status != 404 {
		t.Errorf("the admin API answers %d without a queue", status)
	}
	if err := b.Apply(b.config("w.db", behindKeys)); err != nil {
		t.Fatal(err)
	}
	status, header, _ := askAdmin(t, b, "DELETE", "/a/1", "")
	if status != 202 {
		t.Fatal(status)
	}
	b.reaches(header.Get("Location"), "done")
	b.eventually("nothing is queued", func() bool {
		pending, oldest, dead, ok := b.QueuedWrites(t.Context())
		return ok && pending == 0 && oldest == 0 && dead == 0
	})
	if err := b.Apply(b.config("other.db", behindKeys)); err == nil || !strings.Contains(err.Error(), "restart") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(filepath.Join(b.dir, "other.db")); err == nil {
		t.Error("the other file was made")
	}
}

// TestCheckOpensNoQueue: the file is the running gateway's.
func TestCheckOpensNoQueue(t *testing.T) {
	b := newWritesBench(t, 204, "w.db", behindKeys)
	if err := Check(t.Context(), b.config("w.db", behindKeys)); err != nil {
		t.Error(err)
	}
	if err := Check(t.Context(), b.config("new.db", behindKeys)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(b.dir, "new.db")); err == nil {
		t.Error("checking made the file")
	}
}

func TestWritesAPIRefuses(t *testing.T) {
	b := newWritesBench(t, 204, "w.db", behindKeys)
	admin := b.Admin("", nil)
	for _, tt := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/writes/replay", `{}`, 400}, {"POST", "/writes/replay", `{"all": true, "id": "x"}`, 400}, {"POST", "/writes/drop", `nonsense`, 400},
		{"POST", "/writes/drop", `{"ids": ["x"]}`, 400}, {"POST", "/writes/drop", `{"id": "x"}`, 404}, {"GET", "/writes/x", "", 404},
		{"GET", "/writes/0123456789abcdef0123456789abcdef", "", 404}, {"GET", "/writes?limit=0", "", 400}, {"GET", "/writes?limit=5", "", 200},
		{"POST", "/writes/drop", `{"all": true}`, 200}, {"DELETE", "/writes", "", 405},
	} {
		if status, _, answer := askAdmin(t, admin, tt.method, tt.path, tt.body); status != tt.status {
			t.Errorf("%s %s %s: %d %v, want %d", tt.method, tt.path, tt.body, status, answer, tt.status)
		}
	}
	if status, _, _ := askAdmin(t, b.Admin("token", nil), "GET", "/writes", ""); status != 401 {
		t.Errorf("without the token: %d", status)
	}
}
