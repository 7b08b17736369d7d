package main

import (
	"crypto/sha256"
	"encoding/gob"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// result is what became of a stampede.
type result struct {
	OK, Wrong   int
	First, Last []time.Duration
	Err         string // one of the errors, if there were any
}

func (r *result) add(o result) {
	r.OK, r.Wrong = r.OK+o.OK, r.Wrong+o.Wrong
	r.First, r.Last = append(r.First, o.First...), append(r.Last, o.Last...)
	if o.Err != "" {
		r.Err = o.Err
	}
}

// sort orders the times, so that p99 can be told.
func (r *result) sort() {
	slices.Sort(r.First)
	slices.Sort(r.Last)
}

// childClients is how many clients one process is. A process has only so many file descriptors, and the gateway needs most of them.
const childClients = 4000

// inProcesses has n clients ask for url at once, in processes of their own.
func inProcesses(url string, n int) (result, error) {
	var herds []*herd
	for left := n; left > 0; left -= childClients {
		h, err := startHerd(url, min(left, childClients))
		if err != nil {
			return result{}, err
		}
		herds = append(herds, h)
	}
	for _, h := range herds { // all of them are there: let them go together
		h.start.Close()
	}
	var all result
	for _, h := range herds {
		var r result
		if err := gob.NewDecoder(h.out).Decode(&r); err != nil {
			return result{}, fmt.Errorf("a herd of clients ended without a result: %w", err)
		}
		if err := h.cmd.Wait(); err != nil {
			return result{}, err
		}
		all.add(r)
	}
	all.sort()
	return all, nil
}

// herd is a process of clients that wait for their start.
type herd struct {
	cmd   *exec.Cmd
	start io.Closer
	out   io.Reader
}

const clientsFlag = "-as-clients"

func startHerd(url string, n int) (*herd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	h := &herd{cmd: exec.Command(self, clientsFlag, url, strconv.Itoa(n))}
	h.cmd.Stderr = os.Stderr
	if h.start, err = h.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if h.out, err = h.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	if err := h.cmd.Start(); err != nil {
		return nil, err
	}
	ready := make([]byte, 1)
	if _, err := io.ReadFull(h.out, ready); err != nil {
		return nil, fmt.Errorf("a herd of clients does not start: %w", err)
	}
	return h, nil
}

// beClients is the life of such a process: it says that it is there, waits for the end of its standard input, asks, and writes its result.
func beClients(url, count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	if _, err := os.Stdout.Write([]byte{'r'}); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return gob.NewEncoder(os.Stdout).Encode(stampede(url, n))
}

// stampede has n clients ask for url at once, each on a connection of its own.
func stampede(url string, n int) result {
	whole := sha256.Sum256(slices.Concat(half, half))
	var mu sync.Mutex
	var r result
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	for range n {
		ready.Add(1)
		done.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			ready.Done()
			<-start
			begun := time.Now()
			first, sum, err := get(client, url)
			last := time.Since(begun)
			mu.Lock()
			defer mu.Unlock()
			r.First, r.Last = append(r.First, first), append(r.Last, last)
			switch {
			case err != nil:
				r.Wrong, r.Err = r.Wrong+1, err.Error()
			case sum != whole:
				r.Wrong++
			default:
				r.OK++
			}
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
	r.sort()
	return r
}

func get(client *http.Client, url string) (first time.Duration, sum [32]byte, err error) {
	begun := time.Now()
	resp, err := client.Get(url)
	if err != nil {
		return time.Since(begun), sum, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return time.Since(begun), sum, fmt.Errorf("%s", resp.Status)
	}
	one := make([]byte, 1)
	if _, err := io.ReadFull(resp.Body, one); err != nil {
		return time.Since(begun), sum, err
	}
	first = time.Since(begun)
	h := sha256.New()
	h.Write(one)
	if _, err := io.Copy(h, resp.Body); err != nil {
		return first, sum, err
	}
	h.Sum(sum[:0])
	return first, sum, nil
}

func p99(d []time.Duration) time.Duration { return d[len(d)*99/100].Round(time.Millisecond) }

// callsAtOnce is how many calls to the origin the gateway can have open beside n clients: two files each is more than many systems give a process.
func callsAtOnce(n int) (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil { // Go has raised the soft limit to the hard one
		return 0, err
	}
	const others = 200
	left := int(min(limit.Cur, 1<<20)) - n - others
	if left < 100 {
		return 0, fmt.Errorf("%d clients need more open files than `ulimit -n` allows, which is %d: raise it, or ask for fewer clients with -n", n, limit.Cur)
	}
	return min(left, 100_000), nil
}
