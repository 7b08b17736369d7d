package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
)

// writing starts a gateway that queues writes, in front of an origin that answers them with a fixed
// status.
func writing(t *testing.T) (p *running, status *atomic.Int64, write func(path, body string) (id string)) {
	t.Helper()
	return writingTo(t, filepath.Join(t.TempDir(), "writes.db"))
}

// writingTo is writing with the queue in a file.
func writingTo(t *testing.T, path string) (p *running, status *atomic.Int64, write func(path, body string) (id string)) {
	t.Helper()
	status = new(atomic.Int64)
	status.Store(http.StatusNoContent)
	origin := serveOrigin(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) })
	config := strings.Replace(plain(origin), `admin: {address: "127.0.0.1:0"}`, fmt.Sprintf("admin: {address: \"127.0.0.1:%s\", token: secret}\nwrites: {path: %q}",
		freePort(t), path), 1)
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
	reaches(`^0 queued, 0 bytes, the oldest waiting 0s; 0 dead\n$`)
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
		t.Errorf("show prints the credentials:\n%s", shown)
	}
	if shown := penstock(exitDone, "show", b); !strings.Contains(shown, "(4 bytes of binary data)") {
		t.Error(shown)
	}
	status.Store(http.StatusNoContent)
	if said := penstock(exitDone, "replay", a); said != "queued again: 1 of the dead letters\napplied 1 of 1\n" {
		t.Error(said)
	}
	reaches(`^0 queued, .*; 1 dead\n`)
	if shown := penstock(exitDone, "show", a); !strings.Contains(shown, "done after 1 tries") {
		t.Error(shown)
	}
	if said := penstock(exitDone, "drop", b); said != "dropped 1 of the dead letters\n" {
		t.Error(said)
	}
	if shown := penstock(exitDone, "show", b); !strings.Contains(shown, "dropped after 1 tries") {
		t.Errorf("after drop, show says\n%s", shown)
	}
	if said := penstock(exitFailed, "drop", b); !strings.Contains(said, "its state is dropped") {
		t.Error(said)
	}
	if said := penstock(exitFailed, "replay", a); !strings.Contains(said, "its state is done") {
		t.Error(said)
	}
	penstock(exitFailed, "show", strings.Repeat("0", 32))
	status.Store(http.StatusForbidden)
	write("/c", "1")
	write("/d", "2")
	reaches(`; 2 dead\n`)
	if said := penstock(exitFailed, "replay", "--all"); !strings.Contains(said, "applied 0 of 2\n") || strings.Count(said, "dead again after 1 tries: the upstream answers 403 Forbidden") != 2 {
		t.Errorf("replayed without effect: %s", said)
	}
	status.Store(http.StatusNoContent)
	if said := penstock(exitDone, "replay", "--all"); said != "queued again: 2 of the dead letters\napplied 2 of 2\n" {
		t.Error(said)
	}
	reaches(`^0 queued, .*; 0 dead\n$`)
	for _, args := range [][]string{{"show"}, {"show", "a", "b"}, {"drop"}, {"replay", "--all", "x"}, {"list", "x"}, {"forget"}, {"show", "../x"}, {"list", "--limit", "0"}, {"replay", "x", "--wait", "-1s"}} {
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
		{http.StatusOK, `<html>`, exitFailed, "sent a response about writes that is not JSON"},
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

// TestWritesOfAFile checks, lists and salvages a file without a gateway. A damaged file gives exit
// code 1, and the salvaged writes are complete.
func TestWritesOfAFile(t *testing.T) {
	dir := t.TempDir()
	path, spoilt, saved := filepath.Join(dir, "writes.db"), filepath.Join(dir, "spoilt.db"), filepath.Join(dir, "saved.db")
	p, status, write := writingTo(t, path)
	status.Store(http.StatusForbidden)
	var ids []string
	for n := range 8 {
		ids = append(ids, write(fmt.Sprint("/", n), strings.Repeat("x", 2000)))
	}
	eventually(t, "all writes are dead letters", func() bool {
		_, out, _ := execute("writes", "list", "--config", p.config)
		return strings.Contains(out, "; 8 dead")
	})
	says := func(code int, want string, args ...string) {
		t.Helper()
		got, stdout, stderr := execute(append([]string{"writes"}, args...)...)
		if got != code || !regexp.MustCompile(want).MatchString(stdout+stderr) {
			t.Errorf("penstock writes %q: code %d, want %d with %s:\n%s%s", args, got, code, want, stdout, stderr)
		}
	}
	says(exitFailed, "another process has opened it; .* stop the other", "--file", path)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(spoilt, content, 0o600); err != nil {
		t.Fatal(err)
	}
	says(exitDone, "0 queued, 8 dead, 0 ended\n$", "--file", spoilt, "check")
	says(exitDone, ids[3]+` +\S+ +dead +1 +PUT http://\S+/3 +the upstream answers 403`, "list", "--file="+spoilt)
	clear(content[len(content)/2/4096*4096:])
	for at := 2 * 4096; at < len(content)/2; at += 9000 {
		content[at] ^= 1
	}
	if err := os.WriteFile(spoilt, content, 0o600); err != nil {
		t.Fatal(err)
	}
	says(exitFailed, "damaged: ", "--file", spoilt, "check")
	says(exitDone, saved+" has 0 queued, ", "--file", spoilt, "salvage", saved)
	says(exitDone, "0 queued, ", "--file", saved)
	says(exitUsage, "exists already", "--file", spoilt, "salvage", saved)
	says(exitUsage, "takes check, list or salvage OUT", "--file", spoilt, "mend")
	says(exitFailed, "can't be used: ", "--file", filepath.Join(dir, "none", "x.db"))
	if after, err := os.ReadFile(spoilt); err != nil || !bytes.Equal(after, content) {
		t.Errorf("the damaged file was changed: %v", err)
	}
}
