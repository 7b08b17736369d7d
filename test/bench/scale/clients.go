package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	host = "bench.example"
	// keySize is what the key of an object takes: its hash, and the encoding of "hit", the scheme, the host and a path of 13 bytes.
	keySize = 16 + 48
)

// tally is what clients have seen.
type tally struct {
	count, hits int
	bytes       int64
	buckets     [64 * fine]int
}

// fine is into how many buckets each doubling of a latency is divided.
const fine = 32

func (t *tally) note(d time.Duration) {
	n := uint64(max(d, 1))
	exp := bits.Len64(n) - 1
	part := 0
	if exp >= 5 {
		part = int(n>>(exp-5)) & (fine - 1)
	}
	t.buckets[exp*fine+part]++
}

func (t *tally) add(o *tally) {
	t.count, t.hits, t.bytes = t.count+o.count, t.hits+o.hits, t.bytes+o.bytes
	for i, n := range o.buckets {
		t.buckets[i] += n
	}
}

// each is the size of an answer, head and body, as a client gets it.
func (t *tally) each() int64 { return t.bytes / int64(max(t.count, 1)) }

// quantile is the latency that a share of the answers did not exceed, to 3 %.
func (t *tally) quantile(q float64) time.Duration {
	left := int(q * float64(t.count))
	for i, n := range t.buckets {
		if left -= n; left < 0 {
			exp, part := i/fine, i%fine
			return (time.Duration(1<<exp) + time.Duration(part)<<exp/fine).Round(time.Microsecond)
		}
	}
	return 0
}

// once asks for each of n objects.
func once(n int) func(uint64) (int, bool) {
	return func(turn uint64) (int, bool) { return int(turn), turn < uint64(n) }
}

// drive has clients ask for what next says, each for one after the other on a connection of its own, until that says no.
func drive(address string, clients int, next func(turn uint64) (int, bool)) (*tally, error) {
	var turn atomic.Uint64
	var wg sync.WaitGroup
	tallies := make([]tally, clients)
	errs := make([]error, clients)
	for i := range clients {
		wg.Go(func() {
			errs[i] = tallies[i].ask(address, func() (int, bool) { return next(turn.Add(1) - 1) })
		})
	}
	wg.Wait()
	sum := new(tally)
	for i := range tallies {
		sum.add(&tallies[i])
	}
	return sum, errors.Join(errs...)
}

func (t *tally) ask(address string, next func() (int, bool)) error {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	br := bufio.NewReaderSize(c, 32<<10)
	var request []byte
	for object, ok := next(); ok; object, ok = next() {
		request = fmt.Appendf(request[:0], "GET /obj/%08d HTTP/1.1\r\nHost: %s\r\n\r\n", object, host)
		began := time.Now()
		if _, err := c.Write(request); err != nil {
			return err
		}
		if err := t.read(br); err != nil {
			return err
		}
		t.note(time.Since(began))
	}
	return nil
}

// read reads an answer, which has to be a 200 with its length.
func (t *tally) read(br *bufio.Reader) error {
	length, size := -1, 0
	for first := true; ; first = false {
		line, err := br.ReadSlice('\n')
		if err != nil {
			return err
		}
		size += len(line)
		if first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
			return fmt.Errorf("answered %q", line)
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch string(name) {
		case "Content-Length":
			if length, err = strconv.Atoi(string(value)); err != nil {
				return err
			}
		case "Cache-Status":
			size -= len(line) + 2 // not stored
			if bytes.Contains(value, []byte("; hit")) {
				t.hits++
			}
		case "Age":
			size -= len(line) + 2
		}
	}
	if length < 0 {
		return errors.New("an answer without its length")
	}
	_, err := io.CopyN(io.Discard, br, int64(length))
	t.count++
	t.bytes += int64(size + length)
	return err
}
