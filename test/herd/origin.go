package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// origin answers slowly, in two halves.
type origin struct {
	delay time.Duration
	count atomic.Int64
}

var half = []byte(strings.Repeat("the quick brown fox jumps over the lazy dog\n", 200))

const countPath = "/calls-so-far"

// lifetime is longer than it takes all clients to ask: one who asks after it is owed another call.
const lifetime = 10 * time.Second

var shareable = fmt.Sprintf("max-age=%d", lifetime/time.Second)

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == countPath {
		fmt.Fprint(w, o.count.Load())
		return
	}
	o.count.Add(1)
	time.Sleep(o.delay)
	w.Header().Set("Cache-Control", shareable)
	if r.URL.Path == "/private" {
		w.Header().Set("Cache-Control", "private")
	}
	w.Write(half)
	w.(http.Flusher).Flush()
	time.Sleep(o.delay)
	w.Write(half)
}

const originFlag = "-as-origin"

// beOrigin is the life of the origin's process: it says where it listens, and ends with its standard input.
func beOrigin(delay string) error {
	d, err := time.ParseDuration(delay)
	if err != nil {
		return err
	}
	url, stop, err := serve(&origin{delay: d})
	if err != nil {
		return err
	}
	defer stop()
	fmt.Println(url)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// originProcess is that process seen from outside.
type originProcess struct {
	url   string
	cmd   *exec.Cmd
	alive io.Closer
}

func startOrigin(delay time.Duration) (*originProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	o := &originProcess{cmd: exec.Command(self, originFlag, delay.String())}
	o.cmd.Stderr = os.Stderr
	if o.alive, err = o.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := o.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := o.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("the origin does not start: %w", err)
	}
	o.url = strings.TrimSpace(line)
	return o, nil
}

// calls is how often the origin has been asked.
func (o *originProcess) calls() (int, error) {
	resp, err := http.Get(o.url + countPath)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(text))
}

func (o *originProcess) stop() {
	o.alive.Close()
	_ = o.cmd.Wait() // it has nothing more to say
}
