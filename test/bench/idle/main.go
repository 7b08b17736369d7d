// Idle measures what a connection that waits costs a server. It opens connections, asks once on each, reads the answer, and keeps them open; by then it compares the
// server's resident memory with what it was before.
//
//	idle ADDRESS PATH CONNECTIONS PID
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/penstock/penstock/test/procfs"
)

// rest is how long the connections have been idle when they are counted, so that the server may have let go of what an answer takes.
const rest = 3 * time.Second

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "idle:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 4 {
		return errors.New("use: idle ADDRESS PATH CONNECTIONS PID")
	}
	n, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	before, err := procfs.Memory(pid, "VmRSS")
	if err != nil {
		return err
	}
	conns := make([]net.Conn, 0, n)
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for range n {
		c, err := ask(args[0], args[1])
		if err != nil {
			return fmt.Errorf("after %d connections: %w", len(conns), err)
		}
		conns = append(conns, c)
	}
	time.Sleep(rest)
	after, err := procfs.Memory(pid, "VmRSS")
	if err != nil {
		return err
	}
	fmt.Println((after - before) / int64(n))
	return nil
}

// ask opens a connection and has one answer.
func ask(address, path string) (net.Conn, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	if _, err = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: bench.example\r\n\r\n", path); err != nil {
		return c, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return c, err
	}
	defer resp.Body.Close()
	if _, err = io.Copy(io.Discard, resp.Body); err == nil && (resp.StatusCode != http.StatusOK || resp.Close) {
		err = fmt.Errorf("%s, and the connection closes: %t", resp.Status, resp.Close)
	}
	return c, err
}
