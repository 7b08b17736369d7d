package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const reloaded = `msg="configuration reloaded"`

func post(t *testing.T, c *http.Client, url string) (*http.Response, string) {
	t.Helper()
	resp, err := c.Post(url, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp, drain(t, resp)
}

// TestReloadBySignalAndAdmin changes only the environment, so the watcher cannot cause the reload.
func TestReloadBySignalAndAdmin(t *testing.T) {
	p := start(t, plain(hello(t)))
	c := browser(t)
	if got := p.mark(c); got != "none" {
		t.Fatalf("mark %q", got)
	}
	p.setenv("MARK", "signal")
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.await(reloaded + ` by=SIGHUP changed="\[route all\]"`)
	if got := p.mark(c); got != "signal" {
		t.Errorf("after SIGHUP: mark %q", got)
	}
	p.setenv("MARK", "post")
	if resp, body := post(t, c, p.admin()+"/reload"); resp.StatusCode != http.StatusOK {
		t.Errorf("POST /reload: %s %s", resp.Status, body)
	}
	if got := p.mark(c); got != "post" {
		t.Errorf("after POST /reload: mark %q", got)
	}
}

func TestReloadByFileChange(t *testing.T) {
	origin := hello(t)
	for name, change := range map[string]func(p *running, config string){
		"renamed into place": func(p *running, config string) { p.write(config) },
		"written in place": func(p *running, config string) {
			if err := os.WriteFile(p.config, []byte(config), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"removed, then written": func(p *running, config string) {
			if err := os.Remove(p.config); err != nil {
				t.Fatal(err)
			}
			p.await("there is no configuration at")
			p.write(config)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, plain(origin))
			c := browser(t)
			change(p, strings.Replace(plain(origin), "${MARK:-none}", "changed", 1))
			p.await(reloaded + ` by="a change of`)
			if got := p.mark(c); got != "changed" {
				t.Errorf("mark %q", got)
			}
		})
	}
}

// mount lays out a configuration as Kubernetes mounts one: gateway.yaml → ..data/gateway.yaml,
// ..data → ..1/.
func mount(t *testing.T, p *running, version, config string) {
	t.Helper()
	for _, err := range []error{
		os.Mkdir(filepath.Join(p.dir, version), 0o700),
		os.WriteFile(filepath.Join(p.dir, version, "gateway.yaml"), []byte(config), 0o600),
		os.Symlink(version, filepath.Join(p.dir, "..data_tmp")),
		os.Rename(filepath.Join(p.dir, "..data_tmp"), filepath.Join(p.dir, "..data")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestReloadBySymlinkSwap(t *testing.T) {
	origin := hello(t)
	p := prepare(t)
	mount(t, p, "..1", plain(origin))
	if err := os.Symlink(filepath.Join("..data", "gateway.yaml"), p.config); err != nil {
		t.Fatal(err)
	}
	p.run()
	c := browser(t)
	for i, mark := range []string{"two", "three"} { // twice, to check that the watch follows the link
		mount(t, p, ".."+mark, strings.Replace(plain(origin), "${MARK:-none}", mark, 1))
		eventually(t, "reloads", func() bool { return p.count(reloaded) == i+1 })
		if got := p.mark(c); got != mark {
			t.Errorf("mark %q, want %q", got, mark)
		}
	}
}

func TestReloadOnChangeOfReferencedFile(t *testing.T) {
	p := prepare(t)
	secret := filepath.Join(t.TempDir(), "secret")
	replace(t, secret, "old")
	p.write(strings.Replace(plain(hello(t)), "${MARK:-none}", "${file:"+secret+"}", 1))
	p.run()
	c := browser(t)
	if got := p.mark(c); got != "old" {
		t.Fatalf("mark %q", got)
	}
	replace(t, secret, "new")
	p.await(reloaded)
	if got := p.mark(c); got != "new" {
		t.Errorf("mark %q", got)
	}
}

// TestTouchReloadsNothing touches the file and then changes it. Only the change causes a reload.
func TestTouchReloadsNothing(t *testing.T) {
	origin := hello(t)
	p := start(t, plain(origin))
	now := time.Now().Add(time.Hour)
	if err := os.Chtimes(p.config, now, now); err != nil {
		t.Fatal(err)
	}
	p.write(plain(origin))
	replace(t, filepath.Join(p.dir, "neighbour"), "x")
	time.Sleep(2 * settle)
	p.write(strings.Replace(plain(origin), "${MARK:-none}", "real", 1))
	p.await(reloaded)
	if n := p.count(reloaded); n != 1 {
		t.Errorf("%d reloads", n)
	}
}

func TestBadFileChangesNothing(t *testing.T) {
	origin := hello(t)
	p := start(t, plain(origin))
	c := browser(t)
	p.write(strings.Replace(plain(origin), "upstream: origin", "upstream: orign\n    colour: red", 1))
	p.await(`configuration not reloaded; the old one stays in force`)
	p.await(`mistake=.*orign`)
	p.await(`mistake=.*colour`)
	if got := p.mark(c); got != "none" {
		t.Errorf("mark %q", got)
	}
	if resp, _ := get(t, c, p.admin()+"/readyz"); resp.StatusCode != http.StatusOK {
		t.Errorf("/readyz: %s", resp.Status)
	}

	resp, body := post(t, c, p.admin()+"/reload")
	var answer struct{ Errors []string }
	if err := json.Unmarshal([]byte(body), &answer); err != nil || resp.StatusCode != http.StatusUnprocessableEntity || len(answer.Errors) != 2 {
		t.Errorf("POST /reload: %s %s", resp.Status, body)
	}

	p.write(strings.Replace(plain(origin), "${MARK:-none}", "mended", 1))
	p.await(reloaded)
	if got := p.mark(c); got != "mended" {
		t.Errorf("mark %q", got)
	}
}

// TestSameMistakeIsLoggedOnce changes a neighbouring file. The gateway does not log the same
// mistake again.
func TestSameMistakeIsLoggedOnce(t *testing.T) {
	origin := hello(t)
	p := start(t, plain(origin))
	p.write("version: 7\n")
	p.await(`stays in force`)
	replace(t, filepath.Join(p.dir, "neighbour"), "x")
	time.Sleep(2 * settle)
	p.write(strings.Replace(plain(origin), "${MARK:-none}", "mended", 1))
	p.await(reloaded)
	if n := p.count(`stays in force`); n != 1 {
		t.Errorf("logged %d times, want once", n)
	}
}

func TestReloadChangesAdminToken(t *testing.T) {
	p := prepare(t)
	p.setenv("TOKEN", "first")
	p.write(strings.Replace(plain(hello(t)), `admin: {address: "127.0.0.1:0"}`, `admin: {address: "127.0.0.1:0", token: "${TOKEN}"}`, 1))
	p.run()
	c := browser(t) // keeps its connection from before the change
	ask := func(token string) int {
		req, err := http.NewRequest(http.MethodPost, p.admin()+"/reload", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		drain(t, resp)
		return resp.StatusCode
	}
	if got := ask("second"); got != http.StatusUnauthorized {
		t.Errorf("wrong token: %d", got)
	}
	p.setenv("TOKEN", "second")
	if got := ask("first"); got != http.StatusOK {
		t.Errorf("right token: %d", got)
	}
	if got := ask("first"); got != http.StatusUnauthorized {
		t.Errorf("old token: %d", got)
	}
	if got := ask("second"); got != http.StatusOK {
		t.Errorf("new token: %d", got)
	}
}

// TestReloadHarmsNoRequest reloads repeatedly while requests run. Every response must be complete.
func TestReloadHarmsNoRequest(t *testing.T) {
	body := strings.Repeat("0123456789", 10_000)
	origin := serveOrigin(t, func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(body); i += 20_000 {
			w.Write([]byte(body[i : i+20_000]))
			w.(http.Flusher).Flush()
			time.Sleep(time.Millisecond)
		}
	})
	p := start(t, plain(origin))
	c := browser(t)
	stop := make(chan struct{})
	failed := make(chan string, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			resp, err := c.Get(p.url() + "/")
			if err != nil {
				failed <- err.Error()
				return
			}
			if got := drain(t, resp); got != body || resp.StatusCode != http.StatusOK {
				failed <- resp.Status
				return
			}
		}
	}()
	idle := []string{"30s", "40s"}
	for i := range 10 { // each time, a new idle timeout replaces the server on the same address
		p.write(strings.Replace(plain(origin), "drain: 5s", "drain: 5s, idle: "+idle[i%2], 1))
		if resp, text := post(t, browser(t), p.admin()+"/reload"); resp.StatusCode != http.StatusOK {
			t.Fatalf("reload: %s", text)
		}
		time.Sleep(20 * time.Millisecond)
	}
	close(stop)
	<-done
	select {
	case why := <-failed:
		t.Error(why)
	default:
	}
}
