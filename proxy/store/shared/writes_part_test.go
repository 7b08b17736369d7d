package shared

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/penstock/penstock/proxy/write"
	"github.com/penstock/penstock/proxy/write/storetest"
	"github.com/penstock/penstock/test/redistest"
)

// TestTokensAreNotRepeated has Redis lose what it knows of the leases, as a restart from an older
// copy does. The leases taken then must not look like the old ones, because a worker that was told
// meanwhile that it has lost its part has stopped lanes that only a new worker continues.
func TestTokensAreNotRepeated(t *testing.T) {
	s := redistest.Start(t)
	w := queueOf(t, s.URL(), storetest.Wide)
	_, taken := w.renew(t.Context(), 0)
	if len(taken) != write.Partitions {
		t.Fatalf("%d parts are taken, want %d", len(taken), write.Partitions)
	}
	s.Must("FLUSHALL")
	w.renew(t.Context(), 0)
	for _, p := range taken {
		if p.held.Err() == nil {
			t.Errorf("part %d is held under the lease that Redis has lost", p.n)
		}
	}
}

// TestLostLeaseEndsThePart checks that a part ends as soon as Redis says that the lease is another's.
func TestLostLeaseEndsThePart(t *testing.T) {
	for name, use := range map[string]func(*part, context.Context) error{
		"reading":   func(p *part, ctx context.Context) error { _, err := p.Next(ctx); return err },
		"recording": func(p *part, ctx context.Context) error { return p.Lose(ctx, write.Entry{ID: "1", Place: "1-1"}) },
	} {
		t.Run(name, func(t *testing.T) {
			s := redistest.Start(t)
			w := queueOf(t, s.URL(), storetest.Wide)
			_, taken := w.renew(t.Context(), 0)
			del(s, w.base()+"l:")
			if err := use(taken[0], t.Context()); !errors.Is(err, write.ErrLost) {
				t.Errorf("%v, want %v", err, write.ErrLost)
			}
			if taken[0].held.Err() == nil {
				t.Error("the part is still held")
			}
		})
	}
}

// TestReplyWithEntriesIsLost cuts the reply that has the entries of a part. They must be returned by
// a later reply, although Redis counts them as read.
func TestReplyWithEntriesIsLost(t *testing.T) {
	s := redistest.Start(t)
	proxy := redistest.StartProxy(t, s.Addr)
	w := queueOf(t, proxy.URL(), storetest.Wide)
	x := storetest.New("/a")
	_, taken := w.renew(t.Context(), 0)
	p := taken[write.PartitionOf(x.Lane())]
	p.deadline.Stop() // the lease has no end here, because the next lease would return the write anyway
	s.Must("PERSIST", w.base()+"l:"+strconv.Itoa(p.n))
	if entries, _, err := p.read(t.Context()); err != nil || len(entries) > 0 { // all of former holders are claimed
		t.Fatalf("%v, %v", entries, err)
	}
	if _, err := w.Add(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	proxy.CloseAfter(1)
	if entries, _, err := p.read(t.Context()); err == nil {
		t.Fatalf("the reply was not cut: %v", entries)
	}
	proxy.Heal()
	w.c.breaker.close(time.Now())
	entries, _, err := p.read(t.Context())
	if err != nil || len(entries) != 1 || entries[0].ID != x.ID || !entries[0].Again {
		t.Errorf("%+v, %v; want the write, to be sent with a word that it may have been sent", entries, err)
	}
}
