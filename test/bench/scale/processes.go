package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock/test/procfs"
)

// process is an origin or a gateway that was started.
type process struct {
	address string
	cmd     *exec.Cmd

	mu sync.Mutex
	gc collections
}

// collections are those of the garbage collector.
type collections struct {
	count   int
	longest time.Duration // of the pauses, in which everything stands still
}

func startOrigin(p *plan) (*process, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	return start(address, loadCPU, nil, filepath.Join(p.dir, "origin"), address, strconv.Itoa(p.bytes))
}

// roomFor is what an object is given beside its body: the fields, the key, and what the store needs. A third is spare, so that nothing is evicted.
const roomFor = 1000

func startGateway(p *plan, origin string, n int) (*process, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	size := max(64, n*(p.bytes+roomFor)>>20)
	config := fmt.Sprintf(`version: 1
server:
  listen: [{address: %q}]
cache:
  memory: {size: %dMiB}
upstreams:
  origin: {targets: ["http://%s"]}
routes:
  - name: hit
    match: {path: /*}
    upstream: origin
    cache: {enabled: true}
`, address, size, origin)
	file := filepath.Join(p.dir, "gateway.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	return start(address, gatewayCPU, []string{"GODEBUG=gctrace=1", "GOMAXPROCS=1"}, p.gateway, "run", "--config", file)
}

func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

// The processors: the gateway has one to itself, so that nothing but its own doing makes its clients wait.
const (
	gatewayCPU = "0"
	loadCPU    = "1"
)

// start returns when the process, which runs on one processor, answers at its address.
func start(address, cpu string, env []string, name string, args ...string) (*process, error) {
	p := &process{address: address, cmd: exec.Command("taskset", append([]string{"-c", cpu, name}, args...)...)}
	p.cmd.Env = append(os.Environ(), env...)
	out, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go p.watch(out) // ends with the process
	for range 100 {
		if c, err := net.Dial("tcp", address); err == nil {
			return p, c.Close()
		}
		time.Sleep(100 * time.Millisecond)
	}
	p.stop()
	return nil, fmt.Errorf("%s does not listen at %s", name, address)
}

func (p *process) stop() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// watch reads the collector's trace: gc 7 @1.2s 3%: 0.05+1.8+0.02 ms clock, …: the first and the last of the three are pauses.
func (p *process) watch(r io.Reader) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 6 || fields[0] != "gc" || fields[5] != "ms" {
			continue
		}
		phases := strings.Split(fields[4], "+")
		if len(phases) != 3 {
			continue
		}
		p.mu.Lock()
		p.gc.count++
		for _, s := range []string{phases[0], phases[2]} {
			ms, _ := strconv.ParseFloat(s, 64)
			p.gc.longest = max(p.gc.longest, time.Duration(ms*float64(time.Millisecond)).Round(time.Microsecond))
		}
		p.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, r)
}

func (p *process) collections() collections {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gc
}

// resident is the memory that the process has, in bytes; 0 when it has ended.
func (p *process) resident() int64 {
	n, _ := procfs.Memory(p.cmd.Process.Pid, "VmRSS")
	return n
}

// processor is the time that the process has used, user and system.
func (p *process) processor() time.Duration {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * (time.Second / 100) // the kernel counts in hundredths
}
