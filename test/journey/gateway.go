package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// gateway is the instrumented gateway with an origin behind it.
type gateway struct {
	process *exec.Cmd
	origin  *httptest.Server
	admin   string
	client  *client
	control *control
}

// configuration has a route with the cache and one without.
const configuration = `version: 1
server:
  listen: [{address: %q}]
admin: {address: %q}
telemetry:
  access_log: {output: "off"}
cache:
  memory: {size: 64MiB}
upstreams:
  origin: {targets: [%q]}
routes:
  - {name: cached, match: {path: /c/*}, upstream: origin, cache: {enabled: true}}
  - {name: passed, match: {path: /p/*}, upstream: origin}
`

// start runs the binary, and connects to it and to its tracer.
func start(ctx context.Context, binary, dir string) (*gateway, error) {
	g := &gateway{origin: httptest.NewServer(http.HandlerFunc(answer))}
	listen, err := free()
	if err != nil {
		return nil, err
	}
	if g.admin, err = free(); err != nil {
		return nil, err
	}
	file, socket := filepath.Join(dir, "gateway.yaml"), filepath.Join(dir, "trace.sock")
	if err := write(file, fmt.Appendf(nil, configuration, listen, g.admin, g.origin.URL)); err != nil {
		return nil, err
	}
	var log strings.Builder
	g.process = exec.CommandContext(ctx, binary, "run", "--config", file)
	g.process.Env = append(os.Environ(), "JOURNEY_SOCKET="+socket)
	g.process.Stdout, g.process.Stderr = &log, &log
	if err := g.process.Start(); err != nil {
		return nil, err
	}
	if err := g.connect(listen, socket); err != nil {
		g.stop()
		return nil, fmt.Errorf("the gateway does not start: %w\n%s", err, log.String())
	}
	return g, nil
}

// connect waits until the gateway is ready.
func (g *gateway) connect(listen, socket string) error {
	var err error
	for range 200 {
		time.Sleep(50 * time.Millisecond)
		var resp *http.Response
		if resp, err = http.Get("http://" + g.admin + "/readyz"); err == nil {
			_ = resp.Body.Close() // the status says all
			if resp.StatusCode == http.StatusOK {
				break
			}
			err = errors.New(resp.Status)
		}
	}
	if err != nil {
		return err
	}
	traced, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	g.control = &control{traced, bufio.NewScanner(traced)}
	conn, err := net.Dial("tcp", listen)
	if err != nil {
		return err
	}
	g.client = &client{conn, bufio.NewReader(conn)}
	return nil
}

func (g *gateway) stop() {
	_ = g.process.Process.Kill() // nothing of it is kept
	_ = g.process.Wait()         // it was killed
	g.origin.Close()
}

// answer is the origin's: 1 KB that may be stored.
func answer(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "public, max-age=3600")
	_, _ = w.Write([]byte(strings.Repeat("x", 1024))) // the gateway reports a failure
}

// free finds a port.
func free() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// control starts and stops recordings.
type control struct {
	conn net.Conn
	in   *bufio.Scanner
}

// ask sends a command and reads the numbers that it returns.
func (c *control) ask(command string) (map[int]int, error) {
	if _, err := fmt.Fprintln(c.conn, command); err != nil {
		return nil, err
	}
	out := map[int]int{}
	for c.in.Scan() {
		var id, n int
		if c.in.Text() == "end" {
			return out, nil
		}
		if _, err := fmt.Sscan(c.in.Text(), &id, &n); err != nil {
			return nil, err
		}
		out[id] = n
	}
	return nil, errors.Join(errors.New("the tracer has gone"), c.in.Err())
}
