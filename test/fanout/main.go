// Fanout measures answers that are made of several calls, and reads that share a call. It starts the upstreams, the gateway, and a plain Go handler that does the same by
// hand (errgroup and net/http), each in a process of its own on loopback, asks both the same, and prints latencies, requests for a second of processor time, and upstream
// calls. Everything is bounded: it ends by itself within two minutes.
//
//	go run ./test/fanout
package main

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

func main() {
	roles := map[string]func(string) error{"upstream": beUpstream, "gateway": beGateway, "plain": bePlain}
	if len(os.Args) == 3 && roles[os.Args[1]] != nil {
		exit(roles[os.Args[1]](os.Args[2]))
	}
	exit(run())
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "fanout:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// child is a process of this program that listens.
type child struct {
	cmd *exec.Cmd
	url string
}

// spawn starts a child, which prints its address first.
func spawn(role, arg string) (*child, error) {
	c := &child{cmd: exec.Command(os.Args[0], role, arg)}
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		c.stop()
		return nil, fmt.Errorf("%s did not start: %w", role, err)
	}
	c.url = strings.TrimSpace(line)
	return c, nil
}

func (c *child) stop() {
	_ = c.cmd.Process.Kill() // it has nothing to lose
	_ = c.cmd.Wait()
}

// processor is the time that the child has computed.
func (c *child) processor() time.Duration {
	b, err := os.ReadFile(path.Join("/proc", strconv.Itoa(c.cmd.Process.Pid), "stat"))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// calls is how often the upstream was asked.
func (c *child) calls() int {
	var n int
	resp, err := http.Get(c.url + "/calls")
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = fmt.Fscan(resp.Body, &n)
	return n
}

func run() error {
	up, err := spawn("upstream", "-")
	if err != nil {
		return err
	}
	defer up.stop()
	ours, err := spawn("gateway", up.url)
	if err != nil {
		return err
	}
	defer ours.stop()
	plain, err := spawn("plain", up.url)
	if err != nil {
		return err
	}
	defer plain.stop()

	fmt.Printf("Three upstream calls of 100 ms each, nothing cached\n%-38s %8s %10s %10s\n", "", "requests", "median", "p99")
	for _, c := range []struct {
		name  string
		who   *child
		n, at int
		pause time.Duration
	}{
		{"gateway, 1 client", ours, 30, 1, 0}, {"plain handler, 1 client", plain, 30, 1, 0},
		{"gateway, 200 clients, 2 a second each", ours, 2000, 200, 400 * time.Millisecond}, {"plain handler, the same", plain, 2000, 200, 400 * time.Millisecond},
		{"gateway, 200 clients without pause", ours, 2000, 200, 0}, {"plain handler, the same", plain, 2000, 200, 0},
	} {
		load(c.who, "/slow/%d", c.at, c.at, 0) // connections
		m := load(c.who, "/slow/%d", c.n, c.at, c.pause)
		fmt.Printf("%-38s %8d %10v %10v\n", c.name, m.answered, m.quantile(0.5), m.quantile(0.99))
	}

	fmt.Printf("\nThree upstream calls that are answered at once, 64 clients\n%-38s %8s %14s %10s %10s %8s\n", "", "requests", "req/processor s", "median", "p99", "calls")
	for round := range 2 {
		for _, c := range []struct {
			name, path string
			who        *child
		}{{"gateway, nothing cached", "/fast/%d", ours}, {"plain handler", "/fast/%d", plain}, {"gateway, 2 of 3 parts cached", "/mixed/%d", ours}} {
			load(c.who, c.path, 2000, 64, 0)
			calls, computed := up.calls(), c.who.processor()
			m := load(c.who, c.path, 20000, 64, 0)
			computed = c.who.processor() - computed
			fmt.Printf("%-38s %8d %14.0f %10v %10v %8d\n", fmt.Sprintf("%s (%d)", c.name, round+1), m.answered, float64(m.answered)/computed.Seconds(), m.quantile(0.5), m.quantile(0.99), up.calls()-calls)
		}
	}

	fmt.Printf("\n10 000 single reads over 200 ids, the upstream takes 5 ms a call\n%-38s %8s %10s %10s %8s\n", "", "requests", "mean", "p99", "calls")
	for _, c := range []struct {
		name, path string
		n, at      int
	}{
		{"no batch, not cached, 1 client", "/single/%d", 200, 1}, {"batch, not cached, 1 client", "/batched/%d", 200, 1},
		{"no batch, not cached, 100 clients", "/single/%d", 10000, 100}, {"batch, not cached, 100 clients", "/batched/%d", 10000, 100},
		{"no batch, cached, 100 clients", "/single-cached/%d", 10000, 100}, {"batch, cached, 100 clients", "/batched-cached/%d", 10000, 100},
	} {
		calls := up.calls()
		m := load(ours, c.path, c.n, c.at, 0)
		fmt.Printf("%-38s %8d %10v %10v %8d\n", c.name, m.answered, m.mean(), m.quantile(0.99), up.calls()-calls)
	}
	return nil
}

// measured are the times of requests, in order of length.
type measured struct {
	took     []time.Duration
	answered int
}

func (m *measured) quantile(q float64) time.Duration {
	if len(m.took) == 0 {
		return 0
	}
	return m.took[int(q*float64(len(m.took)-1))].Round(10 * time.Microsecond)
}

func (m *measured) mean() time.Duration {
	var sum time.Duration
	for _, t := range m.took {
		sum += t
	}
	return (sum / time.Duration(max(1, len(m.took)))).Round(10 * time.Microsecond)
}

// spread is over which time clients begin: those that all began in one instant would go on in step, and measure the processors' queue.
const spread = 100 * time.Millisecond

// load asks n times, by so many clients at once, each with a pause between its requests, for pages that differ; of those about items
// there are 200.
func load(c *child, path string, n, clients int, pause time.Duration) *measured {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients, DisableCompression: true}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	m := &measured{}
	var mu sync.Mutex
	var all sync.WaitGroup
	serial := make(chan int, n)
	for i := range n {
		serial <- i
	}
	close(serial)
	for k := range clients {
		all.Go(func() {
			time.Sleep((spread + pause) * time.Duration(k) / time.Duration(clients))
			var took []time.Duration
			good := 0
			for i := range serial {
				begun := time.Now()
				if fetch(client, c.url+fmt.Sprintf(path, i*7919%200)) {
					good++
				}
				took = append(took, time.Since(begun))
				time.Sleep(pause)
			}
			mu.Lock()
			defer mu.Unlock()
			m.took, m.answered = append(m.took, took...), m.answered+good
		})
	}
	all.Wait()
	slices.Sort(m.took)
	return m
}
