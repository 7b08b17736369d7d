package snapshot_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy"
	"github.com/penstock/penstock/proxy/explain"
	"github.com/penstock/penstock/proxy/observe"
)

// guardedGateway runs one cached route for all paths, with further keys, behind trusted proxies on
// loopback.
func guardedGateway(t *testing.T, sink observe.Sink, keys string) *proxy.Gateway {
	t.Helper()
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=3600")
		_, _ = io.WriteString(w, "content")
	}))
	t.Cleanup(origin.Close)
	return runGateway(t, sink, "version: 1\nserver: {trusted_proxies: [127.0.0.0/8, 10.1.0.0/16]}\nupstreams: {o: {targets: [\""+origin.URL+"\"]}}\n"+
		"routes: [{name: all, match: {path: \"/*\"}, upstream: o, cache: {enabled: true}, "+keys+"}]\n")
}

// forwardedFor requests a URL with the given X-Forwarded-For. It returns the status and the content.
func forwardedFor(t testing.TB, client *http.Client, method, url, chain string) (int, string) {
	t.Helper()
	var fields []string
	if chain != "" {
		fields = []string{"X-Forwarded-For", chain}
	}
	status, body, _ := asked(t, client, method, url, fields...)
	return status, body
}

// TestDeniedClientGetsNoHit: on every protocol a stored response is answered on the connection for
// an allowed client, and refused to a client that is not allowed, wherever its address is told.
func TestDeniedClientGetsNoHit(t *testing.T) {
	const allowed = "10.0.0.1"
	denied := []string{
		"",                             // the proxy itself, which no list allows
		"10.0.9.9",                     // in the denying list
		"192.0.2.1",                    // in no list
		"10.0.0.1, 192.0.2.1",          // the first entry is forged
		"10.0.0.1, 10.0.9.9, 10.1.0.1", // behind a second trusted proxy
		"::ffff:10.0.9.9",              // mapped
		"[::ffff:a00:909]:4711",        // mapped, with a port
		"2001:db8::1",                  // IPv6
		"10.0.0.1, unknown",            // the nearest entry is no address, so the proxy is the client
	}
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			hits := new(wireHits)
			g := guardedGateway(t, hits, "allow: {ips: [10.0.0.0/16], deny_ips: [10.0.9.0/24]}")
			client, url := serveWired(t, g, protocol)
			get := func(method, chain string) (int, string) {
				hits.pending.Add(1)
				return forwardedFor(t, client, method, url+"/a?n=1", chain)
			}
			for range 20 {
				if status, body := get("GET", allowed); status != 200 || body != "content" {
					t.Fatalf("an allowed client got %d %q", status, body)
				}
			}
			hits.pending.Wait()
			warm := hits.wire.Load()
			if warm == 0 {
				t.Fatal("connections answered no hit of an allowed client")
			}
			for _, method := range []string{"GET", "HEAD"} {
				for _, chain := range denied {
					for range 3 {
						if status, body := get(method, chain); status != http.StatusForbidden || strings.Contains(body, "content") {
							t.Errorf("%s from %q: %d %q", method, chain, status, body)
						}
					}
				}
			}
			if hits.pending.Wait(); hits.wire.Load() != warm {
				t.Errorf("connections answered %d hits of denied clients", hits.wire.Load()-warm)
			}
			get("GET", allowed)
			if hits.pending.Wait(); hits.wire.Load() != warm+1 {
				t.Error("the connection no longer answers an allowed client")
			}
			checkRefusals(t, g, "allow", map[string]float64{"denied": 6 * 4, "not_listed": 6 * 5})
		})
	}
}

// checkRefusals compares the metric of refusals by a stage with the number by reason.
func checkRefusals(t *testing.T, g *proxy.Gateway, stage string, want map[string]float64) {
	t.Helper()
	for _, family := range g.Metrics() {
		if family.Name != "penstock_refusals_total" {
			continue
		}
		got := make(map[string]float64)
		for _, p := range family.Points {
			labels := fmt.Sprint(p.Labels)
			if !strings.Contains(labels, "all") || !strings.Contains(labels, stage) {
				t.Errorf("a refusal is counted under %s", labels)
			}
			for reason := range want {
				if strings.Contains(labels, reason) {
					got[reason] += p.Value
				}
			}
		}
		for reason, n := range want {
			if got[reason] != n {
				t.Errorf("%v refusals are counted as %s, not %v", got[reason], reason, n)
			}
		}
		return
	}
	t.Error("refusals are not counted")
}

// TestNoDeniedAddressGetsABody compares the answers to random clients, under random lists, with the
// naive reading of the lists.
func TestNoDeniedAddressGetsABody(t *testing.T) {
	network := rapid.Custom(func(t *rapid.T) netip.Prefix {
		if rapid.Bool().Draw(t, "six") {
			return netip.MustParsePrefix(rapid.SampledFrom([]string{"2001:db8::/32", "2001:db8::/127", "2001:db8::1/128", "::/0"}).Draw(t, "network"))
		}
		ip := netip.AddrFrom4([4]byte{10, 0, 0, rapid.ByteRange(0, 15).Draw(t, "host")})
		return netip.PrefixFrom(ip, rapid.IntRange(28, 32).Draw(t, "bits")).Masked()
	})
	client := rapid.Custom(func(t *rapid.T) netip.Addr {
		if rapid.Bool().Draw(t, "six") {
			return netip.MustParseAddr(rapid.SampledFrom([]string{"2001:db8::", "2001:db8::1", "2001:db8:1::", "2001:db9::1"}).Draw(t, "client"))
		}
		return netip.AddrFrom4([4]byte{10, 0, 0, rapid.ByteRange(0, 15).Draw(t, "host")})
	})
	has := func(networks []netip.Prefix, ip netip.Addr) bool {
		for _, n := range networks {
			if n.Contains(ip) {
				return true
			}
		}
		return false
	}
	rapid.Check(t, func(rt *rapid.T) {
		allow := rapid.SliceOfNDistinct(network, 0, 4, netip.Prefix.String).Draw(rt, "allow")
		deny := rapid.SliceOfNDistinct(network, 0, 3, netip.Prefix.String).Draw(rt, "deny")
		keys := "allow: {ips: " + quotedList(uncovered(allow, deny)) + ", deny_ips: " + quotedList(deny) + "}"
		allow = uncovered(allow, deny)
		wrong := ""
		t.Run("", func(t *testing.T) {
			g := guardedGateway(t, nil, keys)
			server, url := serveWired(t, g, rapid.SampledFrom(protocols).Draw(rt, "protocol"))
			for range 12 {
				ip := client.Draw(rt, "client")
				want := !has(deny, ip) && (len(allow) == 0 || has(allow, ip))
				status, body := forwardedFor(t, server, http.MethodGet, url+"/a", ip.String())
				if got := status == 200; got != want || strings.Contains(body, "content") != want {
					wrong = fmt.Sprintf("%s: %v got %d %q", keys, ip, status, body)
					return
				}
			}
		})
		if wrong != "" {
			rt.Fatal(wrong)
		}
	})
}

// uncovered returns the networks that deny does not contain as a whole, since a configuration with
// the others is refused.
func uncovered(networks, deny []netip.Prefix) (out []netip.Prefix) {
	for _, n := range networks {
		covered := false
		for _, d := range deny {
			covered = covered || d.Bits() <= n.Bits() && d.Contains(n.Addr())
		}
		if !covered {
			out = append(out, n)
		}
	}
	return out
}

func quotedList(networks []netip.Prefix) string {
	var out []string
	for _, n := range networks {
		out = append(out, `"`+n.String()+`"`)
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// TestChangedFileOfAddresses: a change of a file reaches hits on connections, and a broken file
// changes nothing.
func TestChangedFileOfAddresses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "blocked.txt")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# none yet\n")
	g := guardedGateway(t, nil, "allow: {deny_files: ["+path+"]}")
	client, url := serveWired(t, g, "HTTP/1.1")
	await := func(want int) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			status, _ := forwardedFor(t, client, http.MethodGet, url+"/a", "192.0.2.1")
			if status == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%d, not %d", status, want)
			}
		}
	}
	for range 10 {
		await(http.StatusOK)
	}
	write("192.0.2.0/24 # blocked\n")
	await(http.StatusForbidden)
	write("nobody\n")
	cfg, err := config.Parse("t.yaml", []byte("version: 1\nupstreams: {o: {targets: [\"http://127.0.0.1:1\"]}}\nroutes: [{name: other, match: {path: /b}, upstream: o, allow: {files: ["+path+"]}}]\n"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := proxy.New(cfg, proxy.Options{Log: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), "route other: allow.files[0]: "+path+": line 1: ") {
		t.Errorf("a gateway with a broken file starts: %v", err)
	}
	await(http.StatusForbidden)
}

// TestExplainNamesTheAddress: an explanation says which list refuses a client, and counts nothing.
func TestExplainNamesTheAddress(t *testing.T) {
	var told atomic.Int64
	g := guardedGateway(t, countingSink{&told}, "allow: {ips: [10.0.0.0/16], deny_ips: [10.0.9.0/24]}")
	for from, want := range map[string]string{
		"10.0.0.1": "", "10.0.9.1": "allow.deny_ips has the client's address 10.0.9.1", "::ffff:10.0.9.1": "allow.deny_ips has the client's address 10.0.9.1",
		"192.0.2.1": "no allowing list has the client's address 192.0.2.1",
	} {
		e, err := g.Explain(t.Context(), explain.Question{URL: "http://example.com/a", From: from})
		if err != nil {
			t.Fatal(err)
		}
		switch no := e.Refused; {
		case want == "" && no == nil:
		case no == nil || no.Why != want || no.Stage != "allow" || no.Status != http.StatusForbidden:
			t.Errorf("%s: %+v", from, no)
		}
	}
	if told.Load() != 0 {
		t.Errorf("%d requests were told", told.Load())
	}
	checkRefusals(t, g, "allow", map[string]float64{"denied": 0, "not_listed": 0})
}

type countingSink struct{ n *atomic.Int64 }

func (s countingSink) Finish(*observe.Event, *http.Request) { s.n.Add(1) }
func (s countingSink) Hit(*observe.Hit)                     { s.n.Add(1) }
