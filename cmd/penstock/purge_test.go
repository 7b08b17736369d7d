package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// counted is an origin that counts requests by their target.
type counted struct {
	mu sync.Mutex
	by map[string]int
}

func (o *counted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.by[r.URL.String()]++
	w.Header().Set("Cache-Control", "max-age=600, stale-while-revalidate=600")
	fmt.Fprintf(w, "%s %d", r.URL, o.by[r.URL.String()])
}

// purging starts a gateway with an admin listener that requires a token, in front of a counting
// origin.
func purging(t *testing.T, admin string) (p *running, get func(target string) string) {
	t.Helper()
	origin := httptest.NewServer(&counted{by: make(map[string]int)})
	t.Cleanup(origin.Close)
	config := strings.Replace(plain(origin.URL), `admin: {address: "127.0.0.1:0"}`, fmt.Sprintf(`admin: {address: %q, token: secret}`, admin), 1)
	p = start(t, config+"    cache: {enabled: true}\n")
	base := "http://" + p.await(`msg=listening address=(\S+) admin=false`)
	return p, func(target string) string {
		t.Helper()
		resp, err := http.Get(base + target)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
}

func TestPurge(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	for _, admin := range []string{"127.0.0.1:" + freePort(t), "unix:" + filepath.Join(t.TempDir(), "admin.sock")} {
		p, get := purging(t, admin)
		host := p.await(`msg=listening address=(\S+) admin=false`)
		n := 1
		want := func(what string) {
			t.Helper()
			for range 2 {
				if got, want := get("/a/b?c"), fmt.Sprintf("/a/b?c %d", n); got != want {
					t.Fatalf("%s: %q, want %q", what, got, want)
				}
			}
		}
		want("filled")
		for _, args := range [][]string{
			{"--url", "https://" + host + "/a/b?c"}, {"--prefix", "/a"}, {"--prefix", host + "/a/"}, {"--host", host}, {"--route", "all"}, {"--all"},
			{"--tag", "x", "--url", "http://" + host + "/a/b?c", "--wait", "1s"},
		} {
			run := append([]string{"purge", "--config", p.config}, args...)
			code, stdout, stderr := execute(append(run, "--dry-run")...)
			if code != exitDone || !strings.Contains(stdout, "would purge 1 responses of 1 objects") || strings.Count(stdout, "\n") != 1 {
				t.Errorf("%q, dry: %d, %q, %q", args, code, stdout, stderr)
			}
			want("after a dry run")
			code, stdout, stderr = execute(run...)
			if code != exitDone || !strings.HasPrefix(stdout, "purged ") || !strings.Contains(stdout, "applied by 1 of 1 instances in ") || strings.Count(stdout, "\n") != 1 {
				t.Errorf("%q: %d, %q, %q", args, code, stdout, stderr)
			}
			n++
			want(fmt.Sprintf("%q", args))
		}
		for _, args := range [][]string{{"--url", "http://" + host + "/a/b"}, {"--prefix", "/b"}, {"--host", "example.test"}, {"--tag", "x"}} {
			if code, stdout, stderr := execute(append([]string{"purge", "--config", p.config}, args...)...); code != exitDone {
				t.Errorf("%q: %d, %q, %q", args, code, stdout, stderr)
			}
			want(fmt.Sprintf("%q, which names something else", args))
		}
		code, stdout, stderr := execute("purge", "--config", p.config, "--soft", "--all")
		if code != exitDone || !strings.HasPrefix(stdout, "softly purged all:") {
			t.Errorf("soft: %d, %q, %q", code, stdout, stderr)
		}
		if got := get("/a/b?c"); got != fmt.Sprintf("/a/b?c %d", n) {
			t.Errorf("softly purged responses are not served stale: %q", got)
		}
		p.stop()
		p.exit(exitDone)
		if code, _, stderr := execute("purge", "--config", p.config, "--all"); code != exitFailed || !strings.Contains(stderr, "does not answer at") {
			t.Errorf("stopped: %d, %q", code, stderr)
		}
	}
}

func TestPurgeFindsTheGateway(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	admin := "127.0.0.1:" + freePort(t)
	p, _ := purging(t, admin)
	missing := filepath.Join(t.TempDir(), "gateway.yaml")
	for _, c := range []struct {
		args   []string
		token  string // in the environment
		code   int
		stdout string
		stderr string
	}{
		{[]string{"--admin", "http://" + admin, "--token", "secret", "--all"}, "", exitDone, "purged all", ""},
		{[]string{"--admin", "http://" + admin + "/", "--all"}, "secret", exitDone, "purged all", ""},
		{[]string{"--config", p.config, "--all"}, "", exitDone, "purged all", ""},
		{[]string{"--config", p.config, "--all"}, "wrong", exitUsage, "", tokenVariable},
		{[]string{"--admin", "http://" + admin, "--all"}, "", exitUsage, "", tokenVariable},
		{[]string{"--config", p.config}, "", exitUsage, "", "nothing to purge is named"},
		{[]string{"--config", p.config, "--url", "/a"}, "", exitUsage, "", "absolute"},
		{[]string{"--config", p.config, "--route", "nobody"}, "", exitUsage, "", "no route"},
		{[]string{"--config", p.config, "--all", "--wait", "0s"}, "", exitUsage, "", "--wait"},
		{[]string{"--config", p.config, "--all", "x"}, "", exitUsage, "", "does not take"},
		{[]string{"--config", p.config, "--everything"}, "", exitUsage, "", "penstock purge --help"},
		{[]string{"--config", missing, "--all"}, "", exitUsage, "", "there is no configuration"},
		{[]string{"--admin", admin, "--all"}, "", exitUsage, "", "is not an address; write one such as"},
		{[]string{"--admin", "http://" + admin + "/x", "--all"}, "", exitUsage, "", "is not an address; write one such as"},
		{[]string{"--help"}, "", exitDone, "-dry-run", ""},
	} {
		var out, err strings.Builder
		env := func(name string) (string, bool) {
			if name != tokenVariable || c.token == "" {
				return "", false
			}
			return c.token, true
		}
		code := run(t.Context(), append([]string{"purge"}, c.args...), env, &out, &err)
		if code != c.code || !contains(out.String(), c.stdout) || !contains(err.String(), c.stderr) {
			t.Errorf("penstock purge %q:\n code %d, want %d\n stdout %q, want %q\n stderr %q, want %q", c.args, code, c.code, &out, c.stdout, &err, c.stderr)
		}
	}
}

// TestPurgeReports checks the output and exit code for each status of the admin API.
func TestPurgeReports(t *testing.T) {
	for _, c := range []struct {
		status int
		answer string
		code   int
		stderr string
	}{
		{http.StatusAccepted, `{"instances": 3, "applied": 2, "missing": ["c"]}`, exitFailed, "1 of 3 instances did not confirm the purge within 2s"},
		{http.StatusServiceUnavailable, `{"errors": ["the others can't be reached"]}`, exitFailed, "the others can't be reached (503"},
		{http.StatusForbidden, `{"status": "forbidden", "hint": "address it as localhost"}`, exitFailed, "forbidden; address it as localhost"},
		{http.StatusNotFound, `<html>`, exitFailed, "does not come from a gateway's admin listener"},
		{http.StatusOK, `<html>`, exitFailed, "sent a response to the purge that is not JSON"},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			io.WriteString(w, c.answer)
		}))
		code, stdout, stderr := execute("purge", "--admin", s.URL, "--all")
		s.Close()
		if code != c.code || stdout != "" || !strings.Contains(stderr, c.stderr) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%d %s: code %d, %q, %q; want %d, %q", c.status, c.answer, code, stdout, stderr, c.code, c.stderr)
		}
	}
}
