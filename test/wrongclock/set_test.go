package wrongclock_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/penstock/penstock/test/wrongclock"
)

// asked is set in the process of which the test sets the clock.
const asked = "WRONGCLOCK_TELL"

// TestMain runs the tests, or in the process of which the clock is set answers each line with the
// time and the time since the start.
func TestMain(m *testing.M) {
	if os.Getenv(asked) == "" {
		os.Exit(m.Run())
	}
	start := time.Now()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Println(time.Now().UnixNano(), int64(time.Since(start)))
	}
}

// teller is a process that tells the time.
type teller struct {
	*exec.Cmd
	in  io.Writer
	out *bufio.Reader
}

func startTeller(t *testing.T) *teller {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asked+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	return &teller{cmd, in, bufio.NewReader(out)}
}

// tell returns the wall clock of the process, and how long it has run by its monotonic clock.
func (p *teller) tell(t *testing.T) (wall time.Time, ran time.Duration) {
	t.Helper()
	var nanos int64
	_, err := fmt.Fprintln(p.in)
	if err == nil {
		_, err = fmt.Fscanln(p.out, &nanos, &ran)
	}
	if err != nil {
		t.Fatal(err)
	}
	return time.Unix(0, nanos), ran
}

func TestSet(t *testing.T) {
	if !wrongclock.Supported {
		if err := wrongclock.Set(os.Getpid(), 0); err == nil {
			t.Error("the clock of a process was set")
		}
		return
	}
	p := startTeller(t)
	start := time.Now()
	_, first := p.tell(t)
	for _, off := range []time.Duration{0, time.Minute, -time.Minute, 0, 24 * time.Hour} {
		if err := wrongclock.Set(p.Process.Pid, off); err != nil {
			t.Fatal(err)
		}
		before := time.Now()
		wall, ran := p.tell(t)
		after := time.Now()
		if wall.Before(before.Add(off)) || wall.After(after.Add(off)) {
			t.Errorf("off by %v: the process has %v, between %v and %v", off, wall, before, after)
		}
		if ran < first || ran > first+after.Sub(start) {
			t.Errorf("off by %v: the process has run for %v, and for %v a time of %v ago", off, ran, first, after.Sub(start))
		}
	}
}
