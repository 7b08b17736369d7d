package rate

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// TestTableAgreesWithOneStatePerClient compares a Table with a map that forgets no client.
func TestTableAgreesWithOneStatePerClient(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, table, states := drawLimit(t), NewTable(start), map[string]int64{}
		now := start
		for range 200 {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(l.Every)).Draw(t, "pause")))
			name := strconv.Itoa(rapid.IntRange(0, 30).Draw(t, "client"))
			key, at := table.KeyOf(name), int64(now.Sub(start))
			before := State{l.Left(states[name], at), l.Wait(states[name], at)}
			next, want := l.Take(states[name], at)
			states[name] = next
			if got := table.Look(key, now, l); got != before {
				t.Fatalf("client %s has %+v, not %+v", name, got, before)
			}
			if got := table.Take(key, now, l); got != want {
				t.Fatalf("client %s: accepted %v, want %v", name, got, want)
			}
		}
	})
}

// cells returns the number of cells for which the table has room.
func (t *Table) cells() (n int) {
	for i := range t.shards {
		n += len(t.shards[i].buckets) * ways
	}
	return n
}

// TestFloodFreesNoHeavyClient sends far more new clients than a table holds. No new client is
// refused, the memory stays bounded, and a client that has used up its burst stays refused.
func TestFloodFreesNoHeavyClient(t *testing.T) {
	l, table := Limit{Every: time.Hour, Burst: 20}, NewTable(start)
	const heavy = 100
	for i := range heavy {
		for range l.Burst {
			table.Take(table.KeyOf(fmt.Sprint("heavy ", i)), start, l)
		}
	}
	for i := range 3 * MaxCells {
		if !table.Take(table.KeyOf(strconv.Itoa(i)), start.Add(time.Duration(i)), l) {
			t.Fatalf("new client %d is refused", i)
		}
	}
	if n := table.cells(); n != MaxCells {
		t.Errorf("room for %d clients, not %d", n, MaxCells)
	}
	for i := range heavy {
		if table.Take(table.KeyOf(fmt.Sprint("heavy ", i)), start.Add(time.Second), l) {
			t.Errorf("the flood has freed heavy client %d", i)
		}
	}
}

// TestTableRemembersAllClientsBelowItsSize: with two thirds of the cells in use hardly any client is
// forgotten, and idle clients cost no room.
func TestTableRemembersAllClientsBelowItsSize(t *testing.T) {
	l, table := Limit{Every: time.Hour, Burst: 2}, NewTable(start)
	const clients = MaxCells * 2 / 3
	now := start
	for range 2 { // the first round is idle in the second
		now = now.Add(24 * time.Hour)
		for i := range clients {
			key := table.KeyOf(fmt.Sprint(now.Unix(), i))
			table.Take(key, now, l)
			table.Take(key, now, l)
		}
		forgotten := 0
		for i := range clients {
			if table.Look(table.KeyOf(fmt.Sprint(now.Unix(), i)), now, l).Left > 0 {
				forgotten++
			}
		}
		if forgotten > clients/10_000 {
			t.Errorf("%d of %d clients are forgotten", forgotten, clients)
		}
	}
}

func TestTableStaysSmallForFewClients(t *testing.T) {
	table := NewTable(start)
	for range 1000 {
		table.Take(Everybody, start, Limit{Every: time.Hour, Burst: 2})
	}
	if n := table.cells(); n > ways {
		t.Errorf("room for %d clients", n)
	}
}

// TestTableUnderConcurrency: clients that ask at the same time get exactly their burst.
func TestTableUnderConcurrency(t *testing.T) {
	l, table := Limit{Every: time.Hour, Burst: 500}, NewTable(start)
	var accepted atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 4000 {
				table.Take(table.KeyOf(strconv.Itoa(i)), start, Limit{Every: time.Hour, Burst: 9})
				if table.Take(Everybody, start, l) {
					accepted.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if accepted.Load() != 500 {
		t.Errorf("%d accepted", accepted.Load())
	}
}

func TestTakeAllocatesNothing(t *testing.T) {
	table := NewTable(time.Now())
	name := []byte("0123456789abcdef")
	if n := testing.AllocsPerRun(1000, func() { table.Take(table.KeyOfBytes(name), time.Now(), Limit{Every: time.Millisecond, Burst: 10}) }); n >= 1 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkTake(b *testing.B) {
	table := NewTable(time.Now())
	var names [1024][16]byte
	for i := range names {
		names[i][0], names[i][1] = byte(i), byte(i>>8)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		table.Take(table.KeyOfBytes(names[i%len(names)][:]), time.Now(), Limit{Every: time.Millisecond, Burst: 10})
	}
}
