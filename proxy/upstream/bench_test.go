package upstream

import (
	"io"
	"net/http"
	"testing"
	"time"
)

// The pool's price beside the bare transport's, on one connection to the same server.
func BenchmarkRoundTrip(b *testing.B) {
	body := make([]byte, 1024)
	h := func(w http.ResponseWriter, r *http.Request) { w.Write(body) }
	b.Run("pool", func(b *testing.B) {
		s := benchOrigin(b, h)
		c := to(s)
		c.Limits = Limits{Max: 20, Wait: time.Second}
		c.Timeouts = Timeouts{Connect: time.Second, FirstByte: time.Second, Idle: time.Second, Total: time.Minute}
		p, err := New(c)
		if err != nil {
			b.Fatal(err)
		}
		defer p.Close()
		bench(b, p, "/")
	})
	b.Run("bare", func(b *testing.B) {
		s := benchOrigin(b, h)
		tr := &http.Transport{DisableCompression: true, ResponseHeaderTimeout: time.Second}
		defer tr.CloseIdleConnections()
		bench(b, tr, s+"/")
	})
}

func bench(b *testing.B, rt http.RoundTripper, url string) {
	b.ReportAllocs()
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		b.Fatal(err)
	}
	r.Body = http.NoBody
	for b.Loop() {
		resp, err := rt.RoundTrip(r)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			b.Fatal(err)
		}
		resp.Body.Close()
	}
}
