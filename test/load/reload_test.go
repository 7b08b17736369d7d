package load

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/test/load/program"
)

var paths = []string{"/cached/a", "/cached/b", "/passed", "/other/x", "/slow", "/large"}

// content is what an origin answers for a path.
func content(path string) []byte {
	if path == "/large" {
		return bytes.Repeat([]byte("0123456789abcdef"), 20_000)
	}
	return []byte("the answer to " + path + strings.Repeat(".", 1000))
}

// origin answers content, some of it slowly and in pieces, and speaks with upgraded connections.
func origin(t *testing.T) string {
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			parrot(w)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		if strings.HasPrefix(r.URL.Path, "/cached/") {
			w.Header().Set("Cache-Control", "max-age=1")
		}
		body := content(r.URL.Path)
		if r.URL.Path == "/slow" {
			time.Sleep(30 * time.Millisecond)
			w.Write(body[:10])
			w.(http.Flusher).Flush()
			time.Sleep(30 * time.Millisecond)
			body = body[10:]
		}
		w.Write(body)
	}))
}

// parrot upgrades the connection and sends back what comes.
func parrot(w http.ResponseWriter) {
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	io.WriteString(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	rw.Flush()
	io.Copy(c, rw)
}

// upgraded is a connection that has changed its protocol.
type upgraded struct {
	net.Conn
	t  *testing.T
	br *bufio.Reader
}

func upgrade(t *testing.T, addr string) *upgraded {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	u := &upgraded{c, t, bufio.NewReader(c)}
	fmt.Fprintf(c, "GET /ws HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	resp, err := http.ReadResponse(u.br, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("upgrade: %v %v", resp, err)
	}
	return u
}

// speak sends a line and expects it back.
func (u *upgraded) speak(line string) {
	u.t.Helper()
	u.SetDeadline(time.Now().Add(patience))
	fmt.Fprintln(u, line)
	if got, err := u.br.ReadString('\n'); got != line+"\n" {
		u.t.Fatalf("an upgraded connection answers %q, %v to %q", got, err, line)
	}
}

const (
	applied = `msg="configuration reloaded"`
	kept    = `msg="configuration not reloaded`
)

// reloadTenTimes changes the configuration in all the ways that there are, one of the ten into a broken one, and waits for each to be in force.
func reloadTenTimes(t *testing.T, p *program.Process, origin string, between func(i int)) {
	t.Helper()
	for i := range 10 {
		good, bad := p.Count(applied), p.Count(kept)
		config := configuration(origin, 2+i%7)
		if i == 5 {
			config = strings.Replace(config, "upstream: origin", "upstream: nobody", 1)
		}
		switch i % 3 {
		case 0: // the watcher sees it
			p.Write(config)
		case 1:
			p.Write(config)
			p.Signal(syscall.SIGHUP)
		case 2:
			p.Write(config)
			if status := p.PostReload(); (status == http.StatusOK) != (i != 5) {
				t.Errorf("POST /reload number %d: %d", i, status)
			}
		}
		for end := time.Now().Add(patience); p.Count(applied) == good && p.Count(kept) == bad; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("reload number %d does not come", i)
			}
		}
		between(i)
	}
	if n := p.Count(kept); n == 0 {
		t.Error("the broken configuration was not refused")
	}
}

func TestReloadUnderLoad(t *testing.T) {
	o := origin(t)
	p := gatewayBinary.Start(t, configuration(o, 1))
	u := upgrade(t, p.Public())
	g := &generator{addr: p.Public(), paths: paths, content: content}
	g.start(32)
	reloadTenTimes(t, p, o, func(i int) {
		u.speak(fmt.Sprintf("after reload %d", i))
		time.Sleep(200 * time.Millisecond)
	})
	g.report(t, g.stop())
	if v := variant(t, p); v != strconv.Itoa(2+9%7) {
		t.Errorf("in force is variant %s", v)
	}
}

// variant is which configuration a new request gets.
func variant(t *testing.T, p *program.Process) string {
	t.Helper()
	resp, err := http.Get("http://" + p.Public() + "/passed")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.Header.Get("X-Variant")
}

// TestShutdownUnderLoad reloads, then stops: every request that was taken is answered, and the program ends by itself and well.
func TestShutdownUnderLoad(t *testing.T) {
	o := origin(t)
	for round := range 3 {
		p := gatewayBinary.Start(t, configuration(o, 1))
		g := &generator{addr: p.Public(), paths: paths, content: content}
		g.start(32)
		time.Sleep(500 * time.Millisecond)
		p.Write(configuration(o, 3))
		p.Await(applied)
		time.Sleep(time.Duration(round) * 170 * time.Millisecond) // also while servers that were replaced still end
		g.stopping.Store(true)
		p.Signal(syscall.SIGTERM)
		g.report(t, g.wait())
		if code := p.Exit(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if strings.Contains(p.Log(), "did not end in time") {
			t.Error("requests were cut off")
		}
	}
}

// TestReloadUnderWrk is the same with a load generator that others know.
func TestReloadUnderWrk(t *testing.T) {
	if _, err := exec.LookPath("wrk"); err != nil {
		t.Fatal("wrk is missing: `make setup` installs it")
	}
	o := origin(t)
	p := gatewayBinary.Start(t, configuration(o, 1))
	var out bytes.Buffer
	wrk := exec.Command("wrk", "-t1", "-c32", "-d4s", "--timeout", "15s", "http://"+p.Public()+"/cached/a")
	wrk.Stdout, wrk.Stderr = &out, &out
	if err := wrk.Start(); err != nil {
		t.Fatal(err)
	}
	reloadTenTimes(t, p, o, func(int) { time.Sleep(50 * time.Millisecond) })
	if err := wrk.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	if regexp.MustCompile(`Non-2xx|Socket errors`).Match(out.Bytes()) || !bytes.Contains(out.Bytes(), []byte("requests in")) {
		t.Errorf("%s", &out)
	}
}
