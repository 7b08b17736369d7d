// L2 measures what the tier that instances share costs: how many responses a second a gateway on one processor answers from Redis to 64
// connections, beside how many GETs of the same size that Redis answers by itself; and how many bytes an object takes there beside its
// body's.
//
//	go run ./test/fleet/cmd/l2 [-time 5s] [-keys 1000] [-sizes 1024,10240,102400]
//
// It needs two processors, redis-server, redis-benchmark, wrk and taskset. The gateway has the first processor for itself. Redis and the client share
// the second, which may so be the limit: the share of its processor that the gateway used tells, and the time of it that each answer took.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/test/fleet"
	"github.com/penstock/penstock/test/fleet/cmd/outside"
	"github.com/penstock/penstock/test/redistest"
)

// options are what can be said at the start.
type options struct {
	time  time.Duration
	keys  int
	conns int
	sizes []int
}

func main() {
	o := options{conns: 64}
	flag.DurationVar(&o.time, "time", 5*time.Second, "how long each throughput is measured")
	flag.IntVar(&o.keys, "keys", 1000, "how many objects are asked for")
	sizes := flag.String("sizes", "1024,10240,102400", "bytes of the bodies")
	flag.Parse()
	for text := range strings.SplitSeq(*sizes, ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			fmt.Fprintln(os.Stderr, "l2: sizes are numbers of bytes, such as 1024,10240:", err)
			os.Exit(2)
		}
		o.sizes = append(o.sizes, n)
	}
	tb := outside.New("l2")
	defer tb.End()
	if err := o.measure(tb); err != nil {
		tb.Fatal(err)
	}
}

func (o *options) measure(tb *outside.TB) error {
	gateway, err := fleet.Build(tb.TempDir())
	if err != nil {
		return err
	}
	redis, origin := redistest.Start(tb), fleet.NewOrigin(tb)
	if err := os.Setenv("GOMAXPROCS", "1"); err != nil {
		return err
	}
	setup := fleet.Setup{
		Origin: origin.URL, Redis: redis.URL(), Tier: "timeout: 1s",
		Routes: `- {name: shared, match: {path: "/size/*"}, cache: {tiers: [redis]}}` + "\n" +
			`- {name: random, match: {path: "/random/*"}, cache: {tiers: [redis]}}` + "\n",
	}
	i := gateway.Start(tb, "measured", setup)
	fleet.Fleet{i}.Meet(tb)
	pid := i.Await(`pid=(\d+)`)
	fmt.Printf("%10s  %12s %10s %10s %7s %10s  %12s %10s %10s %10s %8s\n",
		"body", "L2 hits", "median", "p99", "CPU", "CPU each", "Redis GETs", "median", "p99", "CPU each", "share")
	for _, size := range o.sizes {
		if err := o.throughput(tb, i, redis, pid, size); err != nil {
			return err
		}
	}
	fmt.Printf("\n%10s  %10s %14s %10s %14s %10s\n", "body", "", "text", "of body", "random", "of body")
	for _, size := range []int{256, 1 << 10, 10 << 10, 100 << 10, 500 << 10} {
		if err := memory(tb, i, redis, size); err != nil {
			return err
		}
	}
	return nil
}

// throughput prints how the gateway and Redis answer for bodies of one size.
func (o *options) throughput(tb *outside.TB, i *fleet.Instance, redis *redistest.Server, pid string, size int) error {
	for n := range o.keys {
		path := fmt.Sprintf("/size/%d/%d", n, size)
		if a := i.Get(path); a.Status != 200 {
			return fmt.Errorf("%s: %v", path, a)
		}
		redis.Must("SET", fmt.Sprintf("key:%012d", n), strings.Repeat("x", size))
	}
	a := i.Get(fmt.Sprintf("/size/0/%d", size))
	if !a.Hit() || len(a.Body) != size {
		return fmt.Errorf("no hit of %d bytes: %v", size, a)
	}
	if err := errors.Join(pin(pid, 0), pin(strconv.Itoa(redis.Pid()), 1)); err != nil {
		return err
	}
	before, began := processor(pid), time.Now()
	hits, err := o.wrk(tb, i.URL, size)
	took, used := time.Since(began), processor(pid)-before
	if err != nil {
		return err
	}
	server := strconv.Itoa(redis.Pid())
	if err := pin(server, 0); err != nil {
		return err
	}
	requests := max(10_000, int(2*hits.rate*o.time.Seconds()))
	before = processor(server)
	gets, err := o.benchmark(redis.Port(), size, requests)
	if err != nil {
		return err
	}
	fmt.Printf("%10d  %10.0f/s %10s %10s %6.0f%% %8.1fµs  %10.0f/s %10s %10s %8.1fµs %7.0f%%\n",
		size, hits.rate, hits.median, hits.p99, 100*float64(used)/float64(took), micros(used)/(hits.rate*took.Seconds()),
		gets.rate, gets.median, gets.p99, micros(processor(server)-before)/float64(requests), 100*hits.rate/gets.rate)
	return nil
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// memory prints what objects of a size take in Redis: all keys that belong to them, by MEMORY USAGE.
func memory(tb *outside.TB, i *fleet.Instance, redis *redistest.Server, size int) error {
	var taken [2]int64
	for n, kind := range [2]string{"size", "random"} {
		redis.Must("FLUSHDB")
		fleet.Fleet{i}.Meet(tb)
		path := fmt.Sprintf("/%s/memory/%d", kind, size)
		if a := i.Get(path); a.Status != 200 || len(a.Body) != size {
			return fmt.Errorf("%s: %v", path, a)
		}
		if a := i.Get(path); !a.Hit() {
			return fmt.Errorf("%s is not stored: %v", path, a)
		}
		for _, key := range redis.Keys("penstock:{") {
			if !strings.Contains(key, "{fleet}") {
				used, _ := redis.Must("MEMORY", "USAGE", key).(int64)
				taken[n] += used
			}
		}
	}
	fmt.Printf("%10d  %10s %14d %9.2f %15d %9.2f\n", size, "", taken[0], float64(taken[0])/float64(size), taken[1], float64(taken[1])/float64(size))
	return nil
}
