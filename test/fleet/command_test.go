package fleet

import (
	"os/exec"
	"strings"
	"testing"
)

// TestPurgeCommand makes each kind of purge with the command line.
func TestPurgeCommand(t *testing.T) {
	b := three(t, Setup{Routes: shop})
	for _, args := range []string{
		"--url http://fleet.test/users/3", "--prefix /users/", "--tag part:3", "--tag user:3", "--host fleet.test", "--route users", "--all",
	} {
		q := Request{Path: "/users/3"}
		for _, i := range b.Fleet {
			sound(t, q, i.Do(q))
		}
		before := b.a.Do(q).Version()
		version := b.origin.Bump()
		if out := b.penstock(t, "purge "+args+" --dry-run"); !strings.Contains(out, "1 responses of 1 objects") {
			t.Errorf("--dry-run of %s: %s", args, out)
		}
		hit(t, b.c, q, before)
		if out := b.penstock(t, "purge "+args); !strings.Contains(out, "applied by 3 of 3 instances") {
			t.Errorf("purge %s: %s", args, out)
		}
		current(t, b.c, q, version)
		current(t, b.a, q, version)
	}
}

// penstock runs the program against the instance a and returns its output.
func (b *bench) penstock(t *testing.T, args string) string {
	t.Helper()
	cmd := exec.Command(gateway.Path, append(strings.Fields(args), "--admin", b.a.Admin)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("penstock %s: %v", args, err)
	}
	return string(out)
}
