package edge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/penstock/penstock/proxy/edge/rate"
	"github.com/penstock/penstock/proxy/observe"
)

// RateLimit bounds how often clients may use a route.
type RateLimit struct {
	Limit rate.Limit
	By    RateKey
	Cells *rate.Table // outlives the configuration
	Now   func() time.Time
	// Report lets each request pass, and records the requests that would be refused.
	Report bool
	// Requests and Window are the configured rate, for RateLimit-Policy.
	Requests int
	Window   time.Duration
	// Shared has all instances count together. It is nil if each counts for itself.
	Shared *SharedRate
}

// SharedRate is the part of a limit that all instances share.
type SharedRate struct {
	Name string // of the limit, the same on all instances
	// Take charges a client, named by a hash, if the limit accepts its request. It returns the time
	// until the next request is accepted, or an error if no other instance can be asked. It takes
	// no longer than Patience.
	Take     func(ctx context.Context, client string, every time.Duration, burst int) (ok bool, wait time.Duration, err error)
	Patience time.Duration
	Alone    func() // is called for each request that this instance judges alone
}

// RateKey says which requests count as those of one client.
type RateKey struct {
	kind  rateKind
	field string
}

type rateKind uint8

// A key by the subject of a verified credential, or by a claim of a token, belongs here. It needs
// the identity of the request in Located and Event.
const (
	byClientIP rateKind = iota
	byField
	byRoute
)

// RateByClientIP gives each client address a limit of its own, and each network of 64 bits in IPv6,
// since a client can choose among the addresses of such a network. All clients without an IP
// address share one limit.
func RateByClientIP() RateKey { return RateKey{kind: byClientIP} }

// RateByField gives each value of a request field, named in canonical form, a limit of its own. All
// requests without exactly one line of the field share one limit.
func RateByField(name string) RateKey { return RateKey{byField, name} }

// RateByRoute gives all requests to the route one limit.
func RateByRoute() RateKey { return RateKey{kind: byRoute} }

// String returns k as the configuration writes it.
func (k RateKey) String() string {
	switch k.kind {
	case byClientIP:
		return "client_ip"
	case byField:
		return "header:" + k.field
	}
	return "route"
}

// of returns the key of a request's client in a table.
func (k RateKey) of(t *rate.Table, ip netip.Addr, fields Fields) rate.Key {
	switch k.kind {
	case byClientIP:
		if name, ok := networkOf(ip); ok {
			return t.KeyOfBytes(name[:])
		}
	case byField:
		if value, lines := fields.Line(k.field); lines == 1 {
			return t.KeyOf(value)
		}
	}
	return rate.Everybody
}

// networkOf returns the address of an IPv4 client, mapped to IPv6, or the first half of an IPv6
// client's address. It reports false for a client without an IP address.
func networkOf(ip netip.Addr) (name [16]byte, ok bool) {
	if !ip.IsValid() {
		return name, false
	}
	name = ip.As16()
	if !ip.Is4() && !ip.Is4In6() {
		clear(name[8:])
	}
	return name, true
}

// whose describes for operators the clients that share the limit of a request.
func (k RateKey) whose(ip netip.Addr, fields Fields) string {
	switch k.kind {
	case byClientIP:
		switch {
		case !ip.IsValid():
			return "all clients without an IP address"
		case ip.Is4() || ip.Is4In6():
			return "the client " + ip.Unmap().String()
		}
		network, _ := ip.WithZone("").Prefix(64)
		return "the clients of " + network.String()
	case byField:
		if _, lines := fields.Line(k.field); lines != 1 {
			return "all requests without exactly one line of " + k.field
		}
		return "the requests with this " + k.field
	}
	return "all requests to the route"
}

const (
	rateStage  = "rate_limit"
	rateDetail = "too many requests"

	rateExceeded = "exceeded" // the request was refused
	rateReported = "reported" // the request passed, though it exceeds the limit
)

// RateLimitStage returns the stage that answers 429 to requests beyond a limit. A connection charges
// the client for each hit from the same state. A connection leaves a hit beyond the limit to the
// handler, which refuses or reports it.
func RateLimitStage(l *RateLimit) Stage {
	stage := Stage{
		Name:  rateStage,
		Wrap:  func(next http.Handler) http.Handler { return rateLimited(l, next) },
		OnHit: Charge(func(at *Located) bool { return l.Cells.Take(l.By.of(l.Cells, at.Client, at.Fields), l.Now(), l.Limit) }),
		Explain: func(at *Located, e *Explanation) {
			said := l.explain(l.Cells.Look(l.By.of(l.Cells, at.Client, at.Fields), l.Now(), l.Limit), l.By.whose(at.Client, at.Fields))
			switch {
			case said.refused && !l.Report:
				e.Refuse(http.StatusTooManyRequests, rateDetail)
				e.Refused.Why = said.text
			default:
				e.Notes = append(e.Notes, rateStage+": "+said.text)
			}
		},
	}
	switch {
	case l.By.kind == byField && Rewrites(l.By.field): // the connection sees the field as the client sent it
		stage.OnHit = Never()
	case l.Shared != nil: // a connection can't wait for Redis
		stage.OnHit = Never()
	}
	return stage
}

// take charges the client of a request if the limit accepts the request. Otherwise it returns the
// time until the next request is accepted.
func (l *RateLimit) take(ctx context.Context, ip netip.Addr, fields Fields) (ok bool, wait time.Duration) {
	key, now := l.By.of(l.Cells, ip, fields), l.Now()
	if l.Shared != nil {
		ok, wait, err := l.takeShared(ctx, key, now, l.Shared.client(l.By, ip, fields))
		if err == nil {
			return ok, wait
		}
		if ctx.Err() == nil {
			l.Shared.Alone()
		}
	}
	if l.Cells.Take(key, now, l.Limit) {
		return true, 0
	}
	return false, l.Cells.Look(key, now, l.Limit).Wait
}

// takeShared has all instances decide. Its own cells are charged for the requests that all accept,
// so that they hold this instance's part if the others can't be asked, and an instance never accepts
// more than its whole limit, whatever becomes of the shared state. A request is charged here by the
// time before the call and there by a time within it, so the limit here is wider by Patience. It
// therefore refuses a request only if this instance has decided alone before.
func (l *RateLimit) takeShared(ctx context.Context, key rate.Key, now time.Time, client string) (ok bool, wait time.Duration, err error) {
	wide := l.Limit
	wide.Burst += int((l.Shared.Patience + l.Limit.Every - 1) / l.Limit.Every)
	if own := l.Cells.Look(key, now, wide); own.Wait > 0 {
		return false, own.Wait, nil
	}
	if ok, wait, err = l.Shared.Take(ctx, client, l.Limit.Every, l.Limit.Burst); ok {
		l.Cells.Take(key, now, wide)
	}
	return ok, wait, err
}

// client returns the name under which all instances know the client of a request: a hash, so that
// the shared state has no credentials and addresses in clear text.
func (s *SharedRate) client(by RateKey, ip netip.Addr, fields Fields) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q ", s.Name, by)
	network, known := networkOf(ip)
	value, lines := "", 0
	if by.kind == byField {
		value, lines = fields.Line(by.field)
	}
	switch {
	case by.kind == byClientIP && known:
		h.Write(network[:])
	case by.kind == byField && lines == 1:
		fmt.Fprintf(h, "%q", value)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// rateLimited is the handler of RateLimitStage.
func rateLimited(l *RateLimit, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ev := observe.FromContext(r.Context())
		ok, wait := ev.Charged, time.Duration(0)
		if !ok {
			ok, wait = l.take(r.Context(), ev.ClientIP, HeaderFields(r.Header))
		}
		switch {
		case ok:
		case l.Report:
			ev.RefusedBy, ev.Refusal = rateStage, rateReported
		default:
			l.setFields(w.Header(), wait)
			refuse(w, r, rateStage, rateExceeded, http.StatusTooManyRequests, rateDetail)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// setFields tells a refused client its limit, and when its next request will be accepted:
// Retry-After (RFC 9110 section 10.2.3), and the fields of draft-ietf-httpapi-ratelimit-headers-10.
// The policy's window holds the configured rate; the burst is not told.
func (l *RateLimit) setFields(h http.Header, wait time.Duration) {
	seconds := strconv.FormatInt(wholeSeconds(wait), 10)
	h.Set("Retry-After", seconds)
	h.Set("RateLimit-Policy", `"default";q=`+strconv.Itoa(l.Requests)+";w="+strconv.FormatInt(wholeSeconds(l.Window), 10))
	h.Set("RateLimit", `"default";r=0;t=`+seconds)
}

// wholeSeconds rounds d up to whole seconds, at least one.
func wholeSeconds(d time.Duration) int64 { return max(1, int64((d+time.Second-1)/time.Second)) }

// rateNote tells operators about the state of a limit.
type rateNote struct {
	refused bool
	text    string
}

// explain describes the state that a limit has for some clients.
func (l *RateLimit) explain(s rate.State, whose string) rateNote {
	if l.Shared != nil {
		return rateNote{text: fmt.Sprintf("%s: all instances count in Redis, which an explanation does not ask; for this instance alone %d of %d requests would be left", whose, s.Left, l.Limit.Burst)}
	}
	if s.Left > 0 {
		return rateNote{text: fmt.Sprintf("%s: %d of %d requests left", whose, s.Left, l.Limit.Burst)}
	}
	text := fmt.Sprintf("%s: no request left; the next one is accepted in %v", whose, s.Wait.Round(time.Millisecond))
	if l.Report {
		text += "; mode: report lets requests pass until then"
	}
	return rateNote{true, text}
}
