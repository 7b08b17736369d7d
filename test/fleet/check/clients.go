package check

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/test/fleet"
)

// pace is how long a client waits between two operations at the most.
const pace = 40 * time.Millisecond

// client does one thing after the other until ctx ends.
func (w *world) client(ctx context.Context, random *rand.Rand) {
	paths := readable()
	for ctx.Err() == nil {
		time.Sleep(time.Duration(random.Int64N(int64(pace))))
		i := w.pick(random)
		if i == nil {
			continue
		}
		switch n := random.IntN(100); {
		case n < 70:
			w.read(i, one(random, paths))
		case n < 75:
			w.read(i, one(random, below("/behind", 4)))
		case n < 81:
			w.purge(i, random)
		case n < 91:
			w.write(i, one(random, below("/behind", 4)))
		case n < 96:
			w.write(i, one(random, below("/invalidate", 3)))
		default:
			w.write(i, one(random, below("/through", 3)))
		}
	}
}

// pick is an instance that can be asked; nil: there is none now.
func (w *world) pick(random *rand.Rand) *instance {
	for range 2 * len(w.members) {
		if i := one(random, w.members).now(); !i.away.Load() {
			return i
		}
	}
	return nil
}

func (w *world) record(op Op) {
	op.End = w.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ops = append(w.ops, op)
}

func (w *world) read(i *instance, path string) {
	op := Op{Kind: Read, On: i.life, Start: w.now(), Path: path}
	a := i.Do(fleet.Request{Path: path})
	answered(&op, a)
	op.Version, op.Stale = a.Version(), a.Hit() && (a.TTL() < 0 || strings.Contains(op.What, "detail=stale"))
	w.record(op)
}

// write sends a write with a number of its own.
func (w *world) write(i *instance, path string) {
	w.mu.Lock()
	w.numbers++
	number := w.numbers
	w.mu.Unlock()
	op := Op{Kind: Write, On: i.life, Start: w.now(), Path: path, Number: number, Policy: policyOf(path)}
	a := i.Do(fleet.Request{Method: http.MethodPut, Path: path, Body: strconv.Itoa(number)})
	if op.Policy != Behind {
		op.Version = a.Version()
	}
	answered(&op, a)
	w.record(op)
}

func answered(op *Op, a fleet.Answer) {
	op.Status, op.What = a.Status, a.Header.Get("Cache-Status")
	if a.Err != nil {
		op.Status, op.Err = 0, a.Err.Error()
	}
}

// purge purges something at random, and reads of it on all instances as soon as that is answered.
func (w *world) purge(i *instance, random *rand.Rand) {
	p, paths := drawPurge(random)
	op := Op{Kind: Purge, On: i.life, Start: w.now(), Version: w.origin.bump(), Paths: paths, Soft: p.Soft}
	a := i.Purge(p)
	op.Status, op.Missing = a.Status, a.Missing
	if a.Err != nil {
		op.Status, op.Err = 0, a.Err.Error()
	}
	op.What = fmt.Sprintf("%s%s%s, %d of %d instances", p.URL, p.Prefix, p.Tag, a.Applied, a.Instances)
	w.record(op)
	if !i.known.Load() {
		w.introduce(i, time.Millisecond)
	}
	path := one(random, paths)
	for _, m := range w.members {
		if other := m.now(); !other.away.Load() {
			w.read(other, path)
		}
	}
}
