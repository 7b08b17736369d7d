package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// execute runs a command that ends by itself.
func execute(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	none := func(string) (string, bool) { return "", false }
	code = run(context.Background(), args, none, &out, &err)
	return code, out.String(), err.String()
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestExitCodesAndMessages(t *testing.T) {
	good := writeFile(t, plain("http://127.0.0.1:1"))
	noAdmin := writeFile(t, strings.Replace(plain("http://127.0.0.1:1"), `"127.0.0.1:0"}`+"\ncache", `"127.0.0.1:1"}`+"\ncache", 1))
	missing := filepath.Join(t.TempDir(), "gateway.yaml")
	for _, c := range []struct {
		args           []string
		code           int
		stdout, stderr string // substrings; "" means no output
	}{
		{nil, exitUsage, "", "penstock run"},
		{[]string{"fly"}, exitUsage, "", `there is no command "fly"; penstock help`},
		{[]string{"help"}, exitDone, "penstock check FILE", ""},
		{[]string{"--help"}, exitDone, "penstock check FILE", ""},
		{[]string{"version"}, exitDone, "penstock ", ""},
		{[]string{"version", "x"}, exitUsage, "", `does not take "x"`},
		{[]string{"check"}, exitUsage, "", "penstock check needs FILE"},
		{[]string{"check", good}, exitDone, "ok, 1 routes to 1 upstreams", ""},
		{[]string{"check", good, good}, exitDone, "ok, 1 routes to 1 upstreams", ""},
		{[]string{"check", missing, good}, exitUsage, good + ": ok", "there is no configuration at " + missing},
		{[]string{"check", missing}, exitUsage, "", "there is no configuration at " + missing},
		{[]string{"run", "--config", missing}, exitUsage, "", "name one with --config FILE, or try penstock demo"},
		{[]string{"run", "--konfig", good}, exitUsage, "", "penstock run --help lists the flags"},
		{[]string{"run", "--help"}, exitDone, "-shutdown-delay", ""},
		{[]string{"run", good}, exitUsage, "", "does not take"},
		{[]string{"schema"}, exitDone, `"routes"`, ""},
		{[]string{"demo", "--once", "--origins"}, exitUsage, "", "not both"},
		{[]string{"healthcheck", "--config", missing}, exitUsage, "", "there is no configuration"},
		{[]string{"healthcheck", "--config", noAdmin}, exitFailed, "", "does not answer at 127.0.0.1:1"},
	} {
		code, stdout, stderr := execute(c.args...)
		if code != c.code || !contains(stdout, c.stdout) || !contains(stderr, c.stderr) {
			t.Errorf("penstock %s:\n code %d, want %d\n stdout %q, want %q\n stderr %q, want %q", strings.Join(c.args, " "), code, c.code, stdout, c.stdout, stderr, c.stderr)
		}
	}
}

// contains is strings.Contains, except that an empty want matches only empty text. The log lines of
// `run` do not count as text.
func contains(s, want string) bool {
	if want == "" {
		return s == ""
	}
	return strings.Contains(s, want)
}

func TestCheckPrintsEveryMistake(t *testing.T) {
	name := writeFile(t, "version: 1\nserver:\n  listen: [{adress: \"127.0.0.1:0\"}]\nroutes:\n  - {name: a, match: {path: /*}, upstream: nobody}\n")
	code, stdout, stderr := execute("check", name)
	if code != exitUsage || stdout != "" {
		t.Errorf("code %d, stdout %q", code, stdout)
	}
	for _, want := range []string{name + ":3:", "adress", name + ":5:", "nobody"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("stderr lacks %q:\n%s", want, stderr)
		}
	}
	for _, line := range strings.Split(strings.TrimSpace(stderr), "\n") {
		if !strings.HasPrefix(line, name+":") {
			t.Errorf("a line without a place: %s", line)
		}
	}
}

// TestCheckReadsCertificates checks that all mistakes in the files that a configuration names are
// reported at once.
func TestCheckReadsCertificates(t *testing.T) {
	src := listening("https://127.0.0.1:1", `{address: "127.0.0.1:0", tls: {certificates: [{cert: /nowhere/a.crt, key: /nowhere/a.key}, {cert: /nowhere/b.crt, key: /nowhere/b.key}]}}`)
	name := writeFile(t, strings.Replace(src, "origin: {", "origin: {tls: {ca: /nowhere/ca.pem}, ", 1))
	code, _, stderr := execute("check", name)
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	if code != exitUsage || len(lines) != 3 {
		t.Fatalf("code %d, %d lines:\n%s", code, len(lines), stderr)
	}
	for i, want := range []string{"tls.certificates[0].cert: open /nowhere/a.crt", "tls.certificates[1].cert: open /nowhere/b.crt", "upstreams.origin.tls.ca: open /nowhere/ca.pem"} {
		if place := regexp.MustCompile("^" + regexp.QuoteMeta(name) + `:\d+:\d+: `); !place.MatchString(lines[i]) || !strings.Contains(lines[i], want) {
			t.Errorf("line %d lacks %q: %s", i, want, lines[i])
		}
	}
}

func TestSchemaIsJSON(t *testing.T) {
	code, stdout, _ := execute("schema")
	var schema map[string]any
	if err := json.Unmarshal([]byte(stdout), &schema); code != exitDone || err != nil || schema["$schema"] == nil {
		t.Errorf("code %d, %v, %.80s", code, err, stdout)
	}
}

func TestRunNamesTheAddressInUse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	addr := ln.Addr().String()
	code, _, stderr := execute("run", "--config", writeFile(t, listening("http://127.0.0.1:1", `{address: "`+addr+`"}`)))
	if code != exitFailed || !strings.Contains(stderr, "penstock: cannot listen on "+addr) {
		t.Errorf("code %d, stderr %s", code, stderr)
	}
}

func TestHealthcheck(t *testing.T) {
	for _, admin := range []string{"127.0.0.1:" + freePort(t), "unix:" + filepath.Join(t.TempDir(), "admin.sock")} {
		p := start(t, strings.Replace(plain(hello(t)), `admin: {address: "127.0.0.1:0"}`, `admin: {address: "`+admin+`"}`, 1))
		if code, _, stderr := execute("healthcheck", "--config", p.config); code != exitDone {
			t.Errorf("%s: ready: code %d, %s", admin, code, stderr)
		}
		p.stop()
		p.exit(exitDone)
		if code, _, _ := execute("healthcheck", "--config", p.config); code != exitFailed {
			t.Errorf("%s: stopped: code %d", admin, code)
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// TestReadmesConfigurationIsGood checks the README's configuration, which a new user copies first.
func TestReadmesConfigurationIsGood(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(readme), "```yaml\n")
	text, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("the README has no configuration")
	}
	if code, stdout, stderr := execute("check", writeFile(t, text)); code != exitDone {
		t.Errorf("code %d\n%s%s", code, stdout, stderr)
	}
}
