package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// journey is a request, or an order to the admin listener, whose way is traced.
type journey struct {
	name    string
	prepare func(g *gateway, n int) error // before the recording; nil: nothing
	take    func(g *gateway, n int) error
}

// slowly is a field that changes nothing, with which a connection leaves a request to the handler.
const slowly = "Content-Length: 0\r\n"

var journeys = []journey{
	{"miss", nil, func(g *gateway, n int) error { return g.get(fmt.Sprintf("/c/miss%d", n), "", "miss") }},
	{"pass", nil, func(g *gateway, n int) error { return g.get(fmt.Sprintf("/p/pass%d", n), "", "") }},
	{"hit by the handler", wasStored, func(g *gateway, _ int) error { return g.get("/c/hit", slowly, "hit") }},
	{"hit on the wire", wasStored, func(g *gateway, _ int) error { return g.get("/c/hit", "", "hit") }},
	{"purge", storeOne, func(g *gateway, n int) error {
		return g.order("/purge", fmt.Sprintf(`{"url": "http://origin.example/c/purge%d"}`, n))
	}},
	{"reload", nil, func(g *gateway, _ int) error { return g.order("/reload", "") }},
}

// wasStored has the response of the hits stored.
func wasStored(g *gateway, _ int) error { return g.get("/c/hit", "", "") }

// storeOne stores the response that purge n removes.
func storeOne(g *gateway, n int) error { return g.get(fmt.Sprintf("/c/purge%d", n), "", "miss") }

// client sends requests over one connection.
type client struct {
	conn net.Conn
	in   *bufio.Reader
}

// get asks for a path. The response must be a 200 with the given word in its Cache-Status: hit,
// miss, or nothing for any.
func (g *gateway) get(path, fields, want string) error {
	if _, err := fmt.Fprintf(g.client.conn, "GET %s HTTP/1.1\r\nHost: origin.example\r\n%s\r\n", path, fields); err != nil {
		return err
	}
	resp, err := http.ReadResponse(g.client.in, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if status := resp.Header.Get("Cache-Status"); resp.StatusCode != http.StatusOK || !strings.Contains(status, want) {
		return fmt.Errorf("GET %s: %s, Cache-Status %q; want 200 and %q", path, resp.Status, status, want)
	}
	return nil
}

// order posts to the admin listener.
func (g *gateway) order(path, body string) error {
	resp, err := http.Post("http://"+g.admin+path, "application/json", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("POST %s: %s %s", path, resp.Status, text)
	}
	return err
}
