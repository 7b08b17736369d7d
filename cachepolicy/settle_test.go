package cachepolicy

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// TestStore runs Settle with an empty store: whether RFC 9111 §3 allows storing, and the lifetime
// of §4.2.
func TestStore(t *testing.T) {
	runTable(t, "store.table", 3, func(in []string) string {
		q := tableRequest(in[0])
		r, chance := tableRules(in[2])
		return printVerdict(r.Settle(q, nil, tableAnswer(in[1], t0), t0, chance), t0)
	})
}

// TestSettle runs Settle with a response stored at t0 and a later answer.
func TestSettle(t *testing.T) {
	runTable(t, "settle.table", 5, func(in []string) string {
		q := tableRequest(in[0])
		r, chance := tableRules(in[4])
		stored, h := storedBy(in[1], in[4], q)
		now := t0.Add(duration(in[2]))
		a := tableAnswer(in[3], now)
		a.Stored = h
		return printVerdict(r.Settle(q, stored, a, now, chance), now)
	})
}

func printVerdict(v Verdict, now time.Time) string {
	s := v.Effect.String()
	if v.Reason != ReasonNone {
		s += " " + v.Reason.String()
	}
	if v.InvalidateSelf {
		s += " invalidate-self"
	}
	for _, u := range v.Invalidate {
		s += " invalidate=" + u
	}
	if v.Meta.Status != 0 {
		s += fmt.Sprintf(" %s", printMeta(&v.Meta, now))
	}
	return s
}

func BenchmarkSettle(b *testing.B) {
	q := tableRequest("GET /a [Accept-Encoding: gzip]")
	r, _ := tableRules("swr=30s")
	h := http.Header{
		"Cache-Control": {"public, max-age=60, stale-while-revalidate=30"}, "Date": {t0.Format(http.TimeFormat)}, "Etag": {`"a"`},
		"Last-Modified": {t0.Add(-time.Hour).Format(http.TimeFormat)}, "Content-Type": {"text/html"}, "Content-Length": {"1024"},
		"Vary": {"Accept-Encoding"},
	}
	whole := &Answer{Status: 200, Header: h, Sent: t0, Received: t0}
	v := r.Settle(q, nil, whole, t0, 0)
	notModified := &Answer{Status: 304, Header: h, Stored: h, Sent: t0, Received: t0}
	b.Run("store", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Settle(q, nil, whole, t0, 0.5)
		}
	})
	b.Run("not-modified", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Settle(q, &v.Meta, notModified, t0, 0.5)
		}
	})
}
