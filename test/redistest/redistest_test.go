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
		t.Error("a stopped server answered")
	}
	s.Restart("--maxmemory", "2mb")
	if got := s.Must("GET", "a:1"); got != nil {
		t.Errorf("GET after a restart = %v", got)
	}
	if got := fmt.Sprint(s.Must("CONFIG", "GET", "maxmemory")); got != "[maxmemory 2097152]" {
		t.Errorf("maxmemory %v", got)
	}
	if _, err := s.Do("NONESUCH"); err == nil {
		t.Error("Do did not return an error reply as an error")
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
		t.Errorf("a paused server answered: %v", err)
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
	if got := get(); !strings.HasSuffix(got, "reset") { // the reset may destroy earlier bytes
		t.Errorf("got %q", got)
	}
	p.Heal()
	p.Delay(60 * time.Millisecond)
	begun := time.Now()
	want(whole)
	if d := time.Since(begun); d < 60*time.Millisecond {
		t.Errorf("the reply took %v", d)
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

// TestGate reaches a cluster and a Sentinel only through proxies: the addresses in replies are
// those of the proxies. During a silence no command is answered; afterwards all are.
func TestGate(t *testing.T) {
	c := redistest.StartCluster(t, 3)
	g := redistest.StartGate(t, c.Nodes...)
	addr := strings.TrimPrefix(strings.Split(g.URL(c.URL()), ",")[0], "redis+cluster://")
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	ask := func(command string) { fmt.Fprint(conn, command+"\r\nECHO the-end\r\n") }
	answer := func() string {
		var b strings.Builder
		buf := make([]byte, 4096)
		for !strings.Contains(b.String(), "the-end") {
			n, err := conn.Read(buf)
			b.Write(buf[:n])
			if err != nil {
				t.Fatalf("%v after %q", err, b.String())
			}
		}
		return b.String()
	}
	ask("CLUSTER SLOTS")
	slots := answer()
	for _, node := range c.Nodes {
		if strings.Contains(slots, ":"+node.Port()+"\r\n") {
			t.Errorf("the address of %s passes: %q", node.Addr, slots)
		}
	}
	g.Silence()
	ask("PING")
	_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := conn.Read(make([]byte, 100)); err == nil {
		t.Errorf("%d bytes during a silence", n)
	}
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	g.Heal()
	if said := answer(); !strings.Contains(said, "PONG") {
		t.Errorf("%q", said)
	}
}

// TestSentinelGroup kills the primary: the replica takes over.
func TestSentinelGroup(t *testing.T) {
	g := redistest.StartSentinelGroup(t)
	old := g.Primary()
	old.Stop()
	for end := time.Now().Add(30 * time.Second); g.Primary() == old || !g.Primary().IsMaster(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no other server takes over")
		}
	}
}

// TestRestartFrom restores an earlier state. Restart restores none.
func TestRestartFrom(t *testing.T) {
	s := redistest.Start(t)
	s.Must("SET", "k", "old")
	dump, err := s.Dump()
	if err != nil {
		t.Fatal(err)
	}
	s.Must("SET", "k", "new")
	s.RestartFrom(dump)
	if got := s.Must("GET", "k"); got != "old" {
		t.Errorf("%v", got)
	}
	s.Restart()
	if got := s.Must("GET", "k"); got != nil {
		t.Errorf("%v", got)
	}
}

// TestMoveSlot moves a slot with two keys. While one has moved, the source can't answer for both;
// when both have moved, it sends the client to the target.
func TestMoveSlot(t *testing.T) {
	c := redistest.StartCluster(t, 2)
	from, to := c.Nodes[1], c.Nodes[0] // {x} has slot 16287
	from.Must("SET", "{x}1", "a")
	from.Must("SET", "{x}2", "b")
	var said []string
	err := redistest.MoveSlot("16287", from, to, c.Nodes, func() {
		_, err := from.Do("MGET", "{x}1", "{x}2")
		word, _, _ := strings.Cut(fmt.Sprint(err), " ")
		said = append(said, word)
	})
	if err != nil {
		t.Fatal(err)
	}
	// The source may hear from the target that the slot is the target's before it is told so
	// itself.
	if want := []string{"<nil>", "TRYAGAIN", "ASK"}; len(said) != 5 || !slices.Equal(said[:3], want) || said[4] != "MOVED" {
		t.Errorf("the source said %v, want %v, ASK or MOVED, and MOVED", said, want)
	}
	if got := fmt.Sprint(to.Must("MGET", "{x}1", "{x}2")); got != "[a b]" {
		t.Errorf("the target has %s", got)
	}
}
