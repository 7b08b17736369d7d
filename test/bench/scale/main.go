// Scale shows what the number of stored objects does to a gateway: it fills one with few and one with many through HTTP, asks for all of
// them at random, and prints latency, processor time, memory and the garbage collector's pauses of both.
//
//	go run ./test/bench/scale [-n 1000000] [-bytes 1024] [-seconds 10]          PENSTOCK=binary, else it is built
//
// 5 million objects of 1 KB take 8 GB of memory and some minutes to fill.
package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// plan is what is to be measured.
type plan struct {
	bytes   int
	clients int
	seconds int
	dir     string
	gateway string
}

func main() {
	n := flag.Int("n", 1_000_000, "how many objects are many")
	few := flag.Int("few", 1_000, "how many objects are few")
	p := plan{clients: 16}
	flag.IntVar(&p.bytes, "bytes", 1024, "body of each object")
	flag.IntVar(&p.seconds, "seconds", 10, "how long hits are measured")
	flag.Parse()
	if err := run(p, *few, *n); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func run(p plan, counts ...int) error {
	if out, err := exec.Command("taskset", "-acp", loadCPU, strconv.Itoa(os.Getpid())).CombinedOutput(); err != nil { // threads to come inherit it
		return fmt.Errorf("taskset, of util-linux, gives the gateway and the load a processor each: %w: %s", err, out)
	}
	var err error
	if p.dir, err = os.MkdirTemp("", "scale"); err != nil {
		return err
	}
	defer os.RemoveAll(p.dir)
	if err := p.build(); err != nil {
		return err
	}
	fmt.Println("| Objects | Fill, each | Hits | p50 | p99 | p99.9 | Processor, a hit | Resident memory | Of it beside key, fields and body | GC pauses, longest | GC cycles |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|---|---|")
	for _, n := range counts {
		row, err := p.measure(n)
		if err != nil {
			return fmt.Errorf("with %d objects: %w", n, err)
		}
		fmt.Println(row)
	}
	return nil
}

func (p *plan) build() error {
	if p.gateway = os.Getenv("PENSTOCK"); p.gateway == "" {
		p.gateway = filepath.Join(p.dir, "penstock")
		if err := goBuild(p.gateway, "./cmd/penstock"); err != nil {
			return err
		}
	}
	return goBuild(filepath.Join(p.dir, "origin"), "./test/bench/origin")
}

func goBuild(to, pkg string) error {
	c := exec.Command("go", "build", "-o", to, pkg)
	c.Stderr = os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("building %s, from the root of the tree: %w", pkg, err)
	}
	return nil
}

// measure is one row.
func (p *plan) measure(n int) (string, error) {
	origin, err := startOrigin(p)
	if err != nil {
		return "", err
	}
	defer origin.stop()
	g, err := startGateway(p, origin.address, n)
	if err != nil {
		return "", err
	}
	defer g.stop()
	if _, err := drive(g.address, p.clients, once(1)); err != nil { // has all its tables, and whatever a first request makes
		return "", err
	}
	empty := g.resident()
	began := time.Now()
	filled, err := drive(g.address, p.clients, once(n))
	if err != nil {
		return "", err
	}
	took := time.Since(began)
	full, cpu, gc := g.resident(), g.processor(), g.collections()
	deadline := time.Now().Add(time.Duration(p.seconds) * time.Second)
	hits, err := drive(g.address, p.clients, func(uint64) (int, bool) { return rand.IntN(n), time.Now().Before(deadline) })
	if err != nil {
		return "", err
	}
	cpu = g.processor() - cpu
	all := g.collections()
	beside := "-"
	if n >= 100_000 { // of few, what is fixed is most
		beside = fmt.Sprintf("%d B", (full-empty)/int64(n)-filled.each()-keySize)
	}
	return fmt.Sprintf("| %d | %v | %.1f %% of %d/s | %v | %v | %v | %.1f µs | %d MiB | %s | %v | %d, %d of them while hits were measured |",
		n, (took / time.Duration(n)).Round(100*time.Nanosecond), 100*float64(hits.hits)/float64(hits.count), hits.count/p.seconds,
		hits.quantile(.5), hits.quantile(.99), hits.quantile(.999), float64(cpu.Nanoseconds())/float64(hits.count)/1000,
		g.resident()>>20, beside, all.longest, all.count, all.count-gc.count), nil
}
