// Origin is what the gateway and its peers are measured in front of. It gives every request the same storable JSON and does nothing else, so
// that it costs as little as can be: no header is looked at but for its end.
//
//	origin ADDRESS BYTES
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"time"
)

func main() {
	fmt.Fprintln(os.Stderr, "origin:", run(os.Args[1:]))
	os.Exit(1)
}

// run serves until it fails.
func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("use: origin ADDRESS BYTES")
	}
	size, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	response := answer(size)
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		go serve(c, response)
	}
}

// answer is the response, head and body.
func answer(size int) []byte {
	body := document(size)
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: public, max-age=3600\r\nETag: \"bench\"\r\nDate: %s\r\nContent-Length: %d\r\n\r\n",
		time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"), len(body))
	return append([]byte(head), body...)
}

// user is an element of a list as APIs give them: names that repeat, values that don't.
type user struct {
	ID      int     `json:"id"`
	Name    string  `json:"name"`
	Email   string  `json:"email"`
	Balance float64 `json:"balance"`
	Active  bool    `json:"active"`
}

// document is JSON of exactly so many bytes, the same in every run; what is left after the last whole element is space.
func document(size int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	out := []byte{'['}
	for id := 1; ; id++ {
		element, _ := json.Marshal(user{id, fmt.Sprintf("user-%06d", random.IntN(1e6)), fmt.Sprintf("u%d@example.com", random.IntN(1e6)), random.Float64() * 1000, random.IntN(2) == 0})
		if len(out)+len(element)+2 > size {
			break
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, element...)
	}
	out = append(out, bytes.Repeat([]byte{' '}, max(0, size-1-len(out)))...)
	return append(out, ']')
}

// serve answers each head on c. Requests have no bodies here.
func serve(c net.Conn, response []byte) {
	defer c.Close()
	br := bufio.NewReader(c)
	for {
		for {
			line, err := br.ReadSlice('\n')
			if err != nil {
				return
			}
			if len(line) <= 2 {
				break
			}
		}
		if _, err := c.Write(response); err != nil {
			return
		}
	}
}
