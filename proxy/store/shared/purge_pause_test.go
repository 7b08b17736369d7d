package shared

import (
	"errors"
	"testing"
	"time"

	"github.com/penstock/penstock/proxy/store"
	"github.com/penstock/penstock/test/redistest"
)

// TestAPausedInstanceReadsWhatItMissed holds back all that passes between an instance and Redis
// until purges no longer wait for it, as a pause of its process does: it notices nothing, and its
// connections last. Then it must not serve what it has stored before it has read the purge that it
// missed. Its link is slow, so that there is time between hearing that there are purges and reading
// them.
func TestAPausedInstanceReadsWhatItMissed(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	link := redistest.StartProxy(t, s.Addr)
	a := joinFor(t, s.URL(), "a", time.Minute)
	const patient = 5 * time.Second // so that b does not notice
	b := joinConfig(t, Config{URL: link.URL(), Timeout: patient, Instance: "b", MaxCutOff: 2 * time.Second}, limits{1000, 1000, 1000, time.Minute})
	born := b.epochs.Now()
	a.purge(t, tag("heard of"), 2)
	link.Silence()
	if _, err := a.Purge(t.Context(), tag("on its way"), time.Millisecond); err != nil { // the reply to what b waits for now
		t.Fatal(err)
	}
	eventually(t, func() error {
		r, err := a.Purge(t.Context(), tag("missed"), 10*time.Millisecond)
		if err == nil && r.Instances == 2 {
			err = errors.New("the purge still waits for b")
		}
		return err
	})
	link.Heal()
	link.Delay(200 * time.Millisecond)
	for end := time.Now().Add(30 * time.Second); b.fate(born, "missed") != store.Hard; time.Sleep(time.Millisecond) {
		if doubts := b.epochs.Doubts(); !doubts && b.fate(born, "missed") != store.Hard {
			t.Fatal("it serves a purged response without asking the origin")
		}
		if time.Now().After(end) {
			t.Fatal("it does not read the purge")
		}
	}
	b.awaitCurrent(t, true)
}
