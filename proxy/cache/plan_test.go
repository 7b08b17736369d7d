package cache

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/store"
)

// countingStore counts lookups, and the hits and misses that it is told of.
type countingStore struct {
	store.Store
	looks, hits, misses atomic.Int64
}

func (s *countingStore) Peek(ctx context.Context, k cachepolicy.Key) (*store.Object, error) {
	s.looks.Add(1)
	return s.Store.Peek(ctx, k)
}

func (s *countingStore) CountHit(cachepolicy.Key)  { s.hits.Add(1) }
func (s *countingStore) CountMiss(cachepolicy.Key) { s.misses.Add(1) }

func (s *countingStore) want(t *testing.T, when string, looks, hits, misses int64) {
	t.Helper()
	if l, h, m := s.looks.Swap(0), s.hits.Swap(0), s.misses.Swap(0); l != looks || h != hits || m != misses {
		t.Errorf("%s: %d lookups, %d hits, %d misses; want %d, %d, %d", when, l, h, m, looks, hits, misses)
	}
}

// counted returns a bench with a counting store, and the number of calls to its origin, which each
// response has as its body.
func counted(t *testing.T) (*bench, *countingStore, *atomic.Int64) {
	calls := new(atomic.Int64)
	b := newBench(t, func(*http.Request) (*http.Response, error) {
		return text(fmt.Sprint(calls.Add(1)), "Cache-Control", "max-age=60"), nil
	})
	s := &countingStore{Store: b.tiers.Store}
	b.tiers.Store = s
	return b, s, calls
}

// planned returns a request with its plan, which is not carried out.
func (b *bench) planned(t *testing.T) *request {
	x, err := newRequest(b.res, httptest.NewRequest("GET", "/", nil), &observe.Event{Scheme: "http"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b.plan(&x.plan, &x.located, &x.budget, b.moment(x))
	return x
}

// TestOneLookup: a request looks memory up once, and counts that once. A plan alone counts nothing.
func TestOneLookup(t *testing.T) {
	b, s, _ := counted(t)
	b.planned(t)
	s.want(t, "a plan", 1, 0, 0)
	b.get("/")
	s.want(t, "a miss", 1, 0, 1)
	b.get("/")
	s.want(t, "a hit", 1, 1, 0)
}

// TestStoredAfterThePlan: a request that was planned as a miss and leads a flight after the
// response was stored does not ask the origin again.
func TestStoredAfterThePlan(t *testing.T) {
	b, s, calls := counted(t)
	x := b.planned(t)
	b.get("/")
	s.want(t, "a plan and a miss", 2, 0, 1)
	if reply := b.act(x); reply.Entry == nil || !reply.Status.Hit || calls.Load() != 1 {
		t.Errorf("got %+v after %d calls", reply.Status, calls.Load())
	}
	s.want(t, "a second look", 1, 0, 1)
}
