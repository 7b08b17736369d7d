package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
)

// writing is a gateway whose writes are applied later by an origin that answers with a status.
func writing(t *testing.T) (p *running, status *atomic.Int64, write func(path, body string) (id string)) {
	t.Helper()
	status = new(atomic.Int64)
	status.Store(http.StatusNoContent)
	origin := serveOrigin(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) })
	config := strings.Replace(plain(origin), `admin: {address: "127.0.0.1:0"}`, fmt.Sprintf("admin: {address: \"127.0.0.1:%s\", token: secret}\nwrites: {path: %q}",
		freePort(t), filepath.Join(t.TempDir(), "writes.db")), 1)
	p = start(t, config+"    writes: {policy: behind, queue: {retries: 0}}\n")
	c := browser(t)
	return p, status, func(path, body string) string {
		t.Helper()
		req, err := http.NewRequest(http.MethodPut, p.url()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer of-a-client")
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		drain(t, resp)
		id, ok := strings.CutPrefix(resp.Header.Get("Location"), "/.penstock/writes/")
		if resp.StatusCode != http.StatusAccepted || !ok {
			t.Fatalf("%s %v", resp.Status, resp.Header)
		}
		return id
	}
}

func TestWrites(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	p, status, write := writing(t)
	penstock := func(code int, args ...string) string {
		t.Helper()
		got, stdout, stderr := execute(append(append([]string{"writes"}, args...), "--config", p.config)...)
		if got != code {
			t.Fatalf("penstock writes %q: code %d, want %d: %s%s", args, got, code, stdout, stderr)
		}
		return stdout + stderr
	}
	reaches := func(pattern string) {
		t.Helper()
		re := regexp.MustCompile(pattern)
		eventually(t, pattern, func() bool { return re.MatchString(penstock(exitDone, "list")) })
	}
	reaches(`^0 queued, 0 bytes, the oldest for 0s; 0 dead\n$`)
	status.Store(http.StatusForbidden)
	a, b := write("/a?x=y", "one"), write("/b", "\x00two")
	reaches(`; 2 dead\nID +ACCEPTED +TRIES +WRITE +REASON\n`)
	reaches(a + ` .* 1 +PUT http://\S+/a\?x=y +the upstream answers 403 Forbidden`)
	shown := penstock(exitDone, "show", a)
	for _, want := range []string{"PUT http://", "dead after 1 tries", "upstream 403", "Authorization: (not shown)", `Idempotency-Key: "` + a + `"`, "\none\n"} {
		if !strings.Contains(shown, want) {
			t.Errorf("show has no %q:\n%s", want, shown)
		}
	}
	if strings.Contains(shown, "of-a-client") {
		t.Errorf("show tells the credentials:\n%s", shown)
	}
	if shown := penstock(exitDone, "show", b); !strings.Contains(shown, "(4 bytes that are no text)") {
		t.Error(shown)
	}
	status.Store(http.StatusNoContent)
	if said := penstock(exitDone, "replay", a); said != "replayed 1 of the dead letters\n" {
		t.Error(said)
	}
	reaches(`^0 queued, .*; 1 dead\n`)
	eventually(t, "it is done", func() bool { return strings.Contains(penstock(exitDone, "show", a), "done after 1 tries") })
	if said := penstock(exitDone, "drop", b); said != "dropped 1 of the dead letters\n" {
		t.Error(said)
	}
	penstock(exitFailed, "drop", b)
	penstock(exitFailed, "replay", a)
	penstock(exitFailed, "show", strings.Repeat("0", 32))
	status.Store(http.StatusForbidden)
	write("/c", "1")
	write("/d", "2")
	reaches(`; 2 dead\n`)
	status.Store(http.StatusNoContent)
	if said := penstock(exitDone, "replay", "--all"); said != "replayed 2 of the dead letters\n" {
		t.Error(said)
	}
	reaches(`^0 queued, .*; 0 dead\n$`)
	for _, args := range [][]string{{"show"}, {"show", "a", "b"}, {"drop"}, {"replay", "--all", "x"}, {"list", "x"}, {"forget"}, {"show", "../x"}, {"list", "--limit", "0"}} {
		penstock(exitUsage, args...)
	}
}

func TestWritesWithoutAQueue(t *testing.T) {
	p := start(t, plain(hello(t)))
	code, _, stderr := execute("writes", "--admin", p.admin())
	if code != exitFailed || !strings.Contains(stderr, "has no queue of writes") {
		t.Errorf("%d %s", code, stderr)
	}
	for _, c := range []struct {
		status int
		answer string
		code   int
		stderr string
	}{
		{http.StatusUnauthorized, `{}`, exitUsage, tokenVariable},
		{http.StatusOK, `<html>`, exitFailed, "not about writes"},
		{http.StatusServiceUnavailable, `{"status": "replayed", "count": 2, "errors": ["x: full"]}`, exitFailed, "replayed 2; x: full"},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.answer)
		}))
		code, _, stderr := execute("writes", "list", "--admin", s.URL)
		s.Close()
		if code != c.code || !strings.Contains(stderr, c.stderr) {
			t.Errorf("%+v: %d %q", c, code, stderr)
		}
	}
}
