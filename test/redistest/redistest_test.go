package redistest_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/test/redistest"
)

func TestStopAndRestart(t *testing.T) {
	s := redistest.Start(t)
	s.Must("SET", "a:1", "x")
	if keys := s.Keys("a:"); !slices.Equal(keys, []string{"a:1"}) {
		t.Errorf("keys %q", keys)
	}
	s.Stop()
	if _, err := s.Do("PING"); err == nil {
		t.Error("a stopped server answers")
	}
	s.Restart("--maxmemory", "2mb")
	if got := s.Must("GET", "a:1"); got != nil {
		t.Errorf("GET after a restart = %v", got)
	}
	if got := fmt.Sprint(s.Must("CONFIG", "GET", "maxmemory")); got != "[maxmemory 2097152]" {
		t.Errorf("maxmemory %v", got)
	}
	if _, err := s.Do("NONESUCH"); err == nil {
		t.Error("an error reply is no error")
	}
}

func TestPause(t *testing.T) {
	s := redistest.Start(t)
	s.Pause()
	done := make(chan error, 1)
	go func() {
		_, err := s.Do("PING")
		done <- err
	}()
	select {
	case err := <-done:
		t.Errorf("a paused server answers: %v", err)
	case <-time.After(50 * time.Millisecond):
		defer func() { <-done }()
	}
	s.Resume()
}

func TestCluster(t *testing.T) {
	c := redistest.StartCluster(t, 3)
	moved := 0
	for _, node := range c.Nodes {
		if _, err := node.Do("SET", "{x}", "1"); err != nil && strings.HasPrefix(err.Error(), "MOVED ") {
			moved++
		}
	}
	if moved != 2 {
		t.Errorf("%d of 3 nodes sent a key elsewhere, want 2", moved)
	}
}

func TestSentinel(t *testing.T) {
	master := redistest.Start(t)
	s := redistest.StartSentinel(t, "m", master)
	got := fmt.Sprint(s.Must("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "m"))
	if want := "[127.0.0.1 " + master.Port() + "]"; got != want {
		t.Errorf("master %s, want %s", got, want)
	}
}

func TestProxy(t *testing.T) {
	s := redistest.Start(t)
	s.Must("SET", "k", "0123456789")
	p := redistest.StartProxy(t, s.Addr)
	get := func() string {
		conn, err := net.Dial("tcp", p.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		fmt.Fprint(conn, "GET k\r\nQUIT\r\n")
		var b strings.Builder
		buf := make([]byte, 100)
		for {
			n, err := conn.Read(buf)
			b.Write(buf[:n])
			if err != nil {
				return b.String() + " " + kind(err)
			}
		}
	}
	const whole = "$10\r\n0123456789\r\n+OK\r\n EOF"
	want := func(want string) {
		t.Helper()
		if got := get(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	want(whole)
	p.CloseAfter(8)
	want("$10\r\n012 EOF")
	p.Heal()
	p.ResetAfter(8)
	if got := get(); !strings.HasSuffix(got, "reset") { // what came before may be lost with it
		t.Errorf("got %q", got)
	}
	p.Heal()
	p.Delay(60 * time.Millisecond)
	begun := time.Now()
	want(whole)
	if d := time.Since(begun); d < 60*time.Millisecond {
		t.Errorf("came after %v", d)
	}
	p.Heal()
	p.Refuse()
	if got := get(); strings.Contains(got, "0123") {
		t.Errorf("refused, and got %q", got)
	}
	p.Heal()
	want(whole)
}

func kind(err error) string {
	if strings.Contains(err.Error(), "reset") {
		return "reset"
	}
	return err.Error()
}
