package wire

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// TestH2HitsAndOthers mixes hits and other requests on one connection, in turns and concurrently.
func TestH2HitsAndOthers(t *testing.T) {
	f := serveH2(t, slow, nil)
	c := f.dial(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	c.give(1 << 20)
	if r := c.ask("/hit10"); r.status != "200" || string(r.content) != "hhhhhhhhhh" || r.fields != "content-length: 10\n" {
		t.Errorf("%+v", r)
	}
	if r := c.ask("/slow10"); r.status != "200" || string(r.content) != "ssssssssss" {
		t.Errorf("%+v", r)
	}
	var ids []uint32
	want := map[uint32]int{}
	for i := range 300 {
		target, size := "/hit", i*7
		if i%3 == 0 {
			target, size = "/slow", i*100
		}
		id := c.get(fmt.Sprint(target, size), "x-number", fmt.Sprint(i%20), "user-agent", "me")
		ids, want[id] = append(ids, id), size
		if i%40 == 39 { // the server's limit of concurrent streams
			c.await(ids...)
		}
	}
	c.await(ids...)
	for id, size := range want {
		if r := c.replies[id]; r.status != "200" || r.body != size || r.reset != 0 {
			t.Errorf("stream %d: %+v, want %d bytes", id, r, size)
		}
	}
	if n := f.hits(); n != 201 {
		t.Errorf("the connection answered %d", n)
	}
	c.Close()
}

// TestH2Client checks that net/http's own client receives all responses, even if it sends many
// requests at once.
func TestH2Client(t *testing.T) {
	f := serveH2(t, slow, nil)
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr, Timeout: h2Patience}
	errs := make(chan error)
	for g := range 8 {
		go func() {
			random := rand.New(rand.NewPCG(uint64(g), 1))
			errs <- func() error {
				for range 150 {
					if err := askAny(client, "http://"+f.ln.Addr().String(), random); err != nil {
						return err
					}
				}
				return nil
			}()
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if n := f.hits(); n < 300 {
		t.Errorf("the connection answered %d", n)
	}
}

// askAny sends a random request.
func askAny(client *http.Client, url string, random *rand.Rand) error {
	size := random.IntN(1000)
	if random.IntN(10) == 0 {
		size *= 300
	}
	var resp *http.Response
	var err error
	switch random.IntN(4) {
	case 0:
		resp, err = client.Post(fmt.Sprint(url, "/slow", size), "text/plain", strings.NewReader(strings.Repeat("p", random.IntN(100_000))))
	case 1:
		resp, err = client.Get(fmt.Sprint(url, "/slow", size))
	default:
		resp, err = client.Get(fmt.Sprint(url, "/hit", size))
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || n != int64(size)) {
		err = fmt.Errorf("%s: %d bytes, want %d", resp.Status, n, size)
	}
	return err
}

// TestH2Windows uses a client with small windows that returns them as late as possible. It must
// receive large responses, and hits between them, and never more than its windows allow. The client
// verifies the windows.
func TestH2Windows(t *testing.T) {
	for _, lazy := range []int64{0, 10_000, windowInitial / 2, windowInitial - 1} {
		for _, more := range []int64{0, 5_000, 1 << 20} {
			t.Run(fmt.Sprint(lazy, " ", more), func(t *testing.T) {
				f := serveH2(t, slow, nil)
				c := f.dial()
				c.lazy = lazy
				if more > 0 {
					c.give(more)
					c.lazy += more / 2
				}
				big := []uint32{c.get("/slow3000000"), c.get("/slow1000000")}
				hits := 0
				for c.read() == nil && !(c.reply(big[0]).ended && c.reply(big[1]).ended) {
					if hits < 400 && c.underWay() < 200 { // the server's limit is 250
						id := c.get(fmt.Sprint("/hit", hits*10))
						hits++
						big = append(big, id)
					}
				}
				c.await(big...)
				for i, id := range big {
					want := (i - 2) * 10
					if i < 2 {
						want = 3_000_000 - i*2_000_000
					}
					if r := c.replies[id]; r.body != want || r.reset != 0 {
						t.Errorf("stream %d has %d bytes of %d: %+v", id, r.body, want, r)
					}
				}
				if n := f.hits(); more == 1<<20 && n < hits/2 {
					t.Errorf("the connection answered %d of %d hits", n, hits)
				}
				c.Close()
			})
		}
	}
}

// TestH2WindowOfAStream checks that net/http handles a response that does not fit into the window
// of its stream, because net/http can wait.
func TestH2WindowOfAStream(t *testing.T) {
	f := serveH2(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(bytes.Repeat([]byte("n"), 200)) // a client that disconnects does not matter here
	}, nil)
	c := f.dial(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 100})
	c.give(1 << 20)
	if r := c.ask("/hit100"); r.content[0] != 'h' {
		t.Errorf("%+v", r)
	}
	if r := c.ask("/hit101"); r.content[0] != 'n' || r.body != 200 {
		t.Errorf("%+v", r)
	}
	c.must(c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1000}))
	c.initial = 1000
	c.ask("/slow") // the new size has been acknowledged before the response arrives
	if r := c.ask("/hit101"); r.content[0] != 'h' {
		t.Errorf("%+v", r)
	}
	c.Close()
}

// TestH2Requests checks that net/http gets every request that is not a plain GET or HEAD in
// HTTP/1.1, with all its fields.
func TestH2Requests(t *testing.T) {
	f := serveH2(t, slow, nil)
	c := f.dial()
	c.give(1 << 20)
	for _, test := range []struct {
		fields []hpack.HeaderField
		hit    bool
	}{
		{getFields("/hit1", "accept", "*/*", "te", "trailers", "cookie", "a=b", "cookie", "c=d"), true},
		{getFields("/hit1", "accept", "*/*", "te", "gzip"), false},
		{getFields("/hit1", "host", "h"), false},
		{getFields("/hit1", "connection", "keep-alive"), false},
		{getFields("/hit1", "content-length", "0"), false},
		{getFields("/hit1", "range", "bytes=0-1"), false},
		{getFields("/hit1", "x", " padded"), false},
		{getFields("/hit1 HTTP/1.1\r\nhost: other"), false},
		{getFields("/hit1", "x", "a\r\ny: b"), false},
		{getFields("/hit1", "x\r\ny", "b"), false},
		{getFields("/hit1", "Upper", "b"), false},
		{slices.Concat(getFields("/hit1"), []hpack.HeaderField{{Name: ":path", Value: "/hit2"}}), false},
		{getFields("/hit1")[:3], false},
		{slices.Concat([]hpack.HeaderField{{Name: "x", Value: "y"}}, getFields("/hit1")), false},
		{slices.Concat(getFields("/hit1")[:1], []hpack.HeaderField{{Name: ":scheme", Value: "https"}}, getFields("/hit1")[2:]), false},
	} {
		id := c.open(true, test.fields)
		c.await(id)
		if hit := c.replies[id].hit(); hit != test.hit {
			t.Errorf("%v: answered by the connection: %t", test.fields, hit)
		}
	}
	id := c.open(false, getFields("/slow5", "trailer", "x-t", handedField, "1", "cookie", "a=b", "cookie", "c=d"))
	c.must(c.framer.WriteData(id, false, []byte("hello")))
	c.must(c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.encode([]hpack.HeaderField{{Name: "x-t", Value: "1"}}), EndStream: true, EndHeaders: true}))
	c.await(id)
	if r := c.replies[id]; r.body != 5 || !strings.Contains(r.fields, "body: 5\n") || !strings.Contains(r.fields, "handed: \n") || !strings.Contains(r.fields, "cookies: a=b; c=d\n") || !strings.Contains(r.fields, "trailers: 1\n") {
		t.Errorf("%+v", r)
	}
	if r := c.ask("/drawn", handedField, "0.25"); !strings.Contains(r.fields, "chance: 0.5\n") || !strings.Contains(r.fields, "handed: \n") {
		t.Errorf("%+v", r)
	}
	if r := c.ask("/slow", handedField, "0.25"); !strings.Contains(r.fields, "chance: 0\n") {
		t.Errorf("%+v", r)
	}
	c.Close()
}

// TestH2Cuts sends the same bytes in two pieces, cut at every byte, and expects the same responses.
func TestH2Cuts(t *testing.T) {
	f := serveH2(t, slow, nil)
	talk, streams := conversation()
	var want string
	for cut := range len(talk) {
		conn := f.raw()
		c := &h2Client{t: t, Conn: conn, replies: map[uint32]*reply{}, streams: map[uint32]int64{}, window: 1 << 30, lazy: -1}
		c.framer = http2.NewFramer(conn, conn)
		c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		for _, id := range streams {
			c.streams[id] = windowInitial
		}
		_, err := conn.Write(talk[:cut])
		c.must(err)
		if cut%8 == 0 {
			time.Sleep(200 * time.Microsecond) // so that the server reads two pieces, now and then
		}
		_, err = conn.Write(talk[cut:])
		c.must(err)
		c.await(streams...)
		var got strings.Builder
		for _, id := range streams {
			fmt.Fprintf(&got, "%d: %+v\n", id, *c.replies[id])
		}
		if want == "" {
			want = got.String()
		}
		if got.String() != want {
			t.Fatalf("cut at %d: %s\nwant %s", cut, got.String(), want)
		}
		conn.Close()
	}
}

// conversation returns the bytes of a client, with the streams that it opens.
func conversation() (talk []byte, streams []uint32) {
	var b, block bytes.Buffer
	b.WriteString(http2.ClientPreface)
	f := http2.NewFramer(&b, nil)
	e := hpack.NewEncoder(&block)
	encode := func(fields []hpack.HeaderField) []byte {
		block.Reset()
		for _, field := range fields {
			_ = e.WriteField(field) // writes to memory, as all calls below
		}
		return bytes.Clone(block.Bytes())
	}
	_ = f.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 20})
	_ = f.WriteWindowUpdate(0, 1<<20)
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: encode(getFields("/hit20", "user-agent", "a client")), EndStream: true, EndHeaders: true, PadLength: 3})
	_ = f.WritePing(false, [8]byte{1})
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: encode(getFields("/slow30", "user-agent", "a client")), EndStream: true, EndHeaders: true, Priority: http2.PriorityParam{Weight: 7}})
	split := encode(getFields("/hit40", "user-agent", "a client", "x", strings.Repeat("long ", 50)))
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 5, BlockFragment: split[:10], EndStream: true})
	_ = f.WriteContinuation(5, false, split[10:30])
	_ = f.WriteContinuation(5, true, split[30:])
	_ = f.WriteWindowUpdate(5, 100)
	_ = f.WritePriority(5, http2.PriorityParam{Weight: 3})
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 7, BlockFragment: encode(getFields("/slow50", "user-agent", "a client")), EndHeaders: true})
	_ = f.WriteData(7, false, []byte("some content"))
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 9, BlockFragment: encode(getFields("/hit60", "user-agent", "a client")), EndStream: true, EndHeaders: true})
	_ = f.WriteRSTStream(9, http2.ErrCodeCancel)
	_ = f.WriteDataPadded(7, true, []byte("more of it"), []byte{0, 0})
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 11, BlockFragment: encode(getFields("/hit70")), EndStream: true, EndHeaders: true})
	return b.Bytes(), []uint32{1, 3, 5, 7, 9, 11}
}

// TestH2Shutdown checks that GOAWAY names the last stream that was answered here, that no frame
// follows it, and that the connection ends.
func TestH2Shutdown(t *testing.T) {
	f := serveH2(t, slow, nil)
	c := f.dial()
	c.give(1 << 20)
	c.ask("/slow1")
	c.ask("/hit1")
	c.ask("/hit1")
	if err := f.h2.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	for c.goAway == nil {
		c.must(c.read())
	}
	if c.last != 5 || c.goAway.ErrCode != http2.ErrCodeNo {
		t.Errorf("GOAWAY names stream %d, error %v", c.last, c.goAway.ErrCode)
	}
	c.get("/hit1")
	c.end()
	if f.hits() != 2 {
		t.Error("something was answered after GOAWAY")
	}
}

// TestH2Idle checks that a connection ends after it has been idle, and not while there are hits.
// The idle timeout is long enough that a busy machine does not exceed it between two hits.
func TestH2Idle(t *testing.T) {
	const idle = 2 * time.Second
	f := serveH2(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(idle * 3 / 2)
		slow(w, r)
	}, func(s *http.Server) { s.IdleTimeout = idle })
	c := f.dial()
	for begin := time.Now(); time.Since(begin) < idle*3/2; time.Sleep(idle / 32) {
		c.ask("/hit")
	}
	c.ask("/slow1")
	c.ask("/hit")
	begin := time.Now()
	if g := c.end(); g == nil || g.ErrCode != http2.ErrCodeNo || c.last != c.next-2 {
		t.Errorf("it ends with %v", g)
	}
	if d := time.Since(begin); d < idle {
		t.Errorf("it ends after %v", d)
	}
	if n := f.hits(); n < 10 {
		t.Errorf("the connection answered %d", n)
	}
}

// TestH2Mute checks that a client that does not read is cut off within the write timeout.
func TestH2Mute(t *testing.T) {
	f := serveH2(t, slow, func(s *http.Server) { s.WriteTimeout = 300 * time.Millisecond })
	for _, target := range []string{"/hit60000", "/slow60000"} {
		c := f.dial(http2.Setting{ID: http2.SettingInitialWindowSize, Val: windowMost})
		c.give(windowMost - windowInitial)
		begin := time.Now()
		var err error
		for err == nil && time.Since(begin) < h2Patience {
			err = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: c.next, BlockFragment: c.encode(getFields(target)), EndStream: true, EndHeaders: true})
			c.next += 2
		}
		if d := time.Since(begin); d > h2Patience/2 {
			t.Errorf("%s: after %v it is still there", target, d)
		}
	}
}

// TestH2SmallTable checks that net/http serves a client that sets the table size to 0.
func TestH2SmallTable(t *testing.T) {
	f := serveH2(t, slow, nil)
	c := f.dial(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0})
	c.give(1 << 20)
	for range 3 {
		if r := c.ask("/hit1"); r.status != "200" {
			t.Errorf("%+v", r)
		}
	}
	if n := f.hits(); n != 0 {
		t.Errorf("the connection answered %d", n)
	}
	c.Close()
}

// TestH2Panic checks that a panic while answering ends its connection and no other.
func TestH2Panic(t *testing.T) {
	f := serveH2(t, slow, nil)
	other := f.dial()
	other.ask("/hit")
	c := f.dial()
	c.get("/panic")
	c.end()
	if r := other.ask("/hit"); r.status != "200" {
		t.Errorf("%+v", r)
	}
	other.Close()
}

// taking is a listener whose connections speak HTTP/1.1 or HTTP/2.
type taking struct {
	net.Listener
	http *http.Server
	h2   *H2
	took bool
}

func (l *taking) Accept() (net.Conn, error) {
	if !l.took {
		l.h2.Take(l.http)
		l.took = true
	}
	return l.Listener.Accept()
}

// TestH2InTheClear checks that a server of HTTP/1.1 and HTTP/2 on one address answers hits of both.
func TestH2InTheClear(t *testing.T) {
	f := &h2Fixture{t: t, hot: new(canned)}
	server := &http.Server{Handler: http.HandlerFunc(slow), Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	w := Attach(server, f.hot, nil)
	f.h2 = w.AttachH2(&http.Server{Handler: server.Handler})
	var err error
	if f.ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	f.conns.Go(func() {
		_ = server.Serve(&taking{w.Listener(f.ln), server, f.h2, false}) // ends only with Close
	})
	defer f.conns.Wait()
	defer server.Close()
	c := f.dial()
	c.give(1 << 20)
	for range 3 {
		if r := c.ask("/hit3"); !r.hit() || string(r.content) != "hhh" {
			t.Errorf("%+v", r)
		}
		if r := c.ask("/slow3"); r.hit() || string(r.content) != "sss" {
			t.Errorf("%+v", r)
		}
	}
	c.Close()
	if resp, err := http.Get("http://" + f.ln.Addr().String() + "/hit3"); err != nil || resp.ContentLength != 3 {
		t.Errorf("%v %v", resp, err)
	} else {
		resp.Body.Close()
		http.DefaultClient.CloseIdleConnections()
	}
	if n := f.hits(); n != 4 {
		t.Errorf("the connections answered %d", n)
	}
}

// TestH2Preface checks that a connection with another beginning is not served.
func TestH2Preface(t *testing.T) {
	f := serveH2(t, slow, nil)
	conn := f.raw()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(conn); len(b) > 0 {
		t.Errorf("it was told %q", b)
	}
}
