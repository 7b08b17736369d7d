package equality

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/penstock/penstock/proxy/wire"
)

// h2Request is what a client sends on a stream.
type h2Request struct {
	fields  []hpack.HeaderField
	body    []string // in DATA frames
	trailer []hpack.HeaderField
	cut     int // where its header block goes on in another frame; 0: it does not
}

// h2Reply is what it is told on that stream.
type h2Reply struct {
	fields  []string // sorted, but those of one name in their order
	content []byte
	trailer []string
	reset   http2.ErrCode
	ended   bool
}

// h2Way serves HTTP/2 in one of the two ways.
type h2Way struct {
	*way
	t  testing.TB
	ln net.Listener
}

// h2Serve has w serve HTTP/2 as well, with a wire or without.
func h2Serve(t testing.TB, w *way, wired bool) *h2Way {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		Handler: w.server.Handler, MaxHeaderBytes: w.server.MaxHeaderBytes, DisableGeneralOptionsHandler: true, ErrorLog: w.server.ErrorLog,
		ReadHeaderTimeout: time.Minute, ReadTimeout: time.Minute, IdleTimeout: time.Minute,
	}
	served := make(chan struct{})
	if wired {
		hot, now := w.gateway.Wire()
		settings := http.Server{MaxHeaderBytes: server.MaxHeaderBytes, ReadTimeout: time.Minute, IdleTimeout: time.Minute}
		h2 := wire.Attach(&settings, hot, now).AttachH2(server)
		go serveEach(ln, h2, served)
	} else {
		server.Protocols = new(http.Protocols)
		server.Protocols.SetUnencryptedHTTP2(true)
		go func() {
			defer close(served)
			_ = server.Serve(ln) // it ends by Close alone
		}()
	}
	t.Cleanup(func() {
		_ = server.Shutdown(context.Background()) // GOAWAY, which nobody waits for
		ln.Close()
		server.Close()
		<-served
	})
	return &h2Way{w, t, ln}
}

// serveEach serves connections until there are no more, and they have ended.
func serveEach(ln net.Listener, h2 *wire.H2, served chan struct{}) {
	defer close(served)
	var running sync.WaitGroup
	defer running.Wait()
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		running.Go(func() { h2.Serve(c) })
	}
}

// frames are what a client says to make requests, on streams 1, 3 and so on.
func frames(requests []h2Request) []byte {
	var b, block bytes.Buffer
	f := http2.NewFramer(&b, nil) // into memory, so nothing below fails
	e := hpack.NewEncoder(&block)
	encode := func(fields []hpack.HeaderField) []byte {
		block.Reset()
		for _, field := range fields {
			_ = e.WriteField(field)
		}
		return bytes.Clone(block.Bytes())
	}
	b.WriteString(http2.ClientPreface)
	_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	_ = f.WriteWindowUpdate(0, 1<<26)
	for i, r := range requests {
		id := uint32(2*i + 1)
		ends := len(r.body) == 0 && r.trailer == nil
		p := http2.HeadersFrameParam{StreamID: id, BlockFragment: encode(r.fields), EndStream: ends, EndHeaders: true}
		rest := p.BlockFragment[min(r.cut, len(p.BlockFragment)):]
		if r.cut > 0 {
			p.BlockFragment, p.EndHeaders = p.BlockFragment[:len(p.BlockFragment)-len(rest)], false
		}
		_ = f.WriteHeaders(p)
		if r.cut > 0 {
			_ = f.WriteContinuation(id, true, rest)
		}
		for j, data := range r.body {
			_ = f.WriteData(id, r.trailer == nil && j == len(r.body)-1, []byte(data))
		}
		if r.trailer != nil {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: encode(r.trailer), EndStream: true, EndHeaders: true})
		}
	}
	return b.Bytes()
}

// ask makes the requests, and returns what is told on each stream and with which error the connection has ended; "" if it goes on.
func (w *h2Way) ask(pieces [][]byte, streams int) ([]h2Reply, string) {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.ln.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		w.t.Fatal(err)
	}
	said := make(chan struct{})
	defer func() { <-said }()
	go func() {
		defer close(said)
		for _, p := range pieces {
			if _, err := conn.Write(p); err != nil {
				return // what is told says why
			}
		}
	}()
	replies := make([]h2Reply, streams)
	framer := http2.NewFramer(io.Discard, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for left := streams; left > 0; {
		f, err := framer.ReadFrame()
		if err != nil {
			w.t.Fatalf("%v; so far %+v", err, replies)
		}
		if g, ok := f.(*http2.GoAwayFrame); ok {
			conn.Close()
			return replies, g.ErrCode.String()
		}
		if id := f.Header().StreamID; id > 0 {
			if r := &replies[id/2]; !r.ended {
				r.note(f)
				if r.ended {
					left--
				}
			}
		}
	}
	return replies, ""
}

func (r *h2Reply) note(f http2.Frame) {
	switch f := f.(type) {
	case *http2.MetaHeadersFrame:
		var fields []string
		for _, h := range f.Fields {
			if h.Name == "date" && h.Value != originDate {
				h.Value = "now"
			}
			fields = append(fields, h.Name+": "+h.Value)
		}
		slices.SortStableFunc(fields, func(a, b string) int {
			a, _, _ = strings.Cut(a, ": ")
			b, _, _ = strings.Cut(b, ": ")
			return strings.Compare(a, b)
		})
		if r.fields == nil {
			r.fields = fields
		} else {
			r.trailer = append(r.trailer, fields...)
		}
		r.ended = f.StreamEnded()
	case *http2.DataFrame:
		r.content = append(r.content, f.Data()...)
		r.ended = f.StreamEnded()
	case *http2.RSTStreamFrame:
		r.reset, r.ended = f.ErrCode, true
	}
}

// h2Pair are the two ways with HTTP/2.
type h2Pair struct {
	*pair
	h2Wired, h2Slow *h2Way
}

func newH2Pair(t testing.TB) *h2Pair {
	t.Helper()
	p := newPair(t)
	return &h2Pair{p, h2Serve(t, p.wired, true), h2Serve(t, p.slow, false)}
}

// compare has both ways answer the same, in pieces that cut makes. Requests that come together are answered in any order, and may change what is stored for each
// other, so a difference that does not come again is none.
func (p *h2Pair) compare(cut func([]byte) [][]byte, requests ...h2Request) {
	p.t.Helper()
	diff := ""
	for range 4 {
		if diff = p.differ(cut, requests); diff == "" {
			return
		}
	}
	p.t.Error(diff)
}

func (p *h2Pair) differ(cut func([]byte) [][]byte, requests []h2Request) string {
	p.t.Helper()
	talk := frames(requests)
	pieces := [][]byte{talk}
	if cut != nil {
		pieces = cut(talk)
	}
	got, gotEnd := p.h2Wired.ask(pieces, len(requests))
	want, wantEnd := p.h2Slow.ask([][]byte{talk}, len(requests))
	if gotEnd != wantEnd {
		return fmt.Sprintf("after %+v\nwired: the connection ends with %q\nslow: with %q", requests, gotEnd, wantEnd)
	}
	if wantEnd != "" {
		return "" // what else it had been told by then is not certain
	}
	for i := range want {
		if requests[i].contradicts() && (got[i].reset == http2.ErrCodeProtocol || want[i].reset == http2.ErrCodeProtocol) {
			continue
		}
		if g, w := got[i].text(len(requests) > 1), want[i].text(len(requests) > 1); g != w {
			return fmt.Sprintf("after %+v\nwired: %s\nslow: %s", requests[i], g, w)
		}
	}
	return ""
}

// contradicts reports whether there is more or less content than the request says. net/http resets its stream when it reads that, and may have answered by then,
// in whole or in part: without a wire, too, it is now the one and now the other.
func (r *h2Request) contradicts() bool {
	size := len(strings.Join(r.body, ""))
	return slices.ContainsFunc(r.fields, func(f hpack.HeaderField) bool {
		return f.Name == "content-length" && f.Value != strconv.Itoa(size)
	})
}

// text shows all of it; but for several at once, whether they have waited for each other is left out.
func (r *h2Reply) text(several bool) string {
	fields := slices.Clone(r.fields)
	for i, f := range fields {
		if several && strings.HasPrefix(f, "cache-status: ") {
			fields[i] = "cache-status"
		}
	}
	return fmt.Sprintf("%q %q %q %v", fields, r.content, r.trailer, r.reset)
}
