package observe

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"net/netip"
	"strconv"
	"time"
	"unicode/utf8"
)

// entry holds the data of one line of the access log.
type entry struct {
	start                      time.Time
	took                       time.Duration
	client                     netip.Addr
	method, target, protocol   []byte
	scheme, host               string
	referer, agent             []byte
	status                     int
	in, out                    int64
	route, cache, reason, tier string
	age, ttl                   time.Duration
	key, coding                string
	keyHash                    uint64 // replaces key; 0: no key
	e                          *Event // nil for a hit that the connection answered
}

// statusGone is the logged status if the client left before there was a response, as in nginx.
const statusGone = 499

func entryOf(e *Event, r *http.Request) entry {
	t := entry{
		start: e.Start, took: e.Took, client: e.ClientIP, method: []byte(e.Method), scheme: e.Scheme, host: e.Host, status: e.Status,
		in: e.BytesIn, out: e.BytesOut, route: e.Route, cache: e.Cache, reason: e.Reason, tier: e.Tier, age: e.Age, ttl: e.TTL,
		key: e.KeyHash, coding: e.Coding, e: e,
	}
	if r != nil {
		t.target, t.protocol = []byte(HideParam(r.RequestURI, e.Hidden)), []byte(r.Proto)
		t.referer, t.agent = []byte(HideParam(r.Header.Get("Referer"), e.Hidden)), []byte(r.Header.Get("User-Agent"))
	}
	if t.status == 0 {
		t.status = statusGone
	}
	return t
}

func entryOfHit(h *Hit) entry {
	t := entry{
		start: h.Start, took: h.Took, client: h.ClientIP, scheme: h.Scheme, host: h.Host, status: h.Status, in: h.BytesIn, out: h.BytesOut,
		route: h.Route, cache: CacheHit, tier: "memory", age: h.Age, ttl: h.TTL, coding: h.Coding, keyHash: h.Key,
	}
	line, fields, _ := bytes.Cut(h.Head, crlf)
	t.method, line, _ = bytes.Cut(line, space)
	if i := bytes.LastIndexByte(line, ' '); i >= 0 {
		t.target, t.protocol = line[:i], line[i+1:]
	}
	for len(fields) > 0 {
		var field []byte
		field, fields, _ = bytes.Cut(fields, crlf)
		switch name, value, _ := bytes.Cut(field, colon); {
		case len(name) == len("referer") && bytes.EqualFold(name, refererName):
			t.referer = bytes.TrimSpace(value)
		case len(name) == len("user-agent") && bytes.EqualFold(name, agentName):
			t.agent = bytes.TrimSpace(value)
		}
	}
	if h.Hidden != "" {
		t.target, t.referer = []byte(HideParam(string(t.target), h.Hidden)), []byte(HideParam(string(t.referer), h.Hidden))
	}
	return t
}

var (
	crlf, space, colon     = []byte("\r\n"), []byte(" "), []byte(":")
	refererName, agentName = []byte("referer"), []byte("user-agent")
)

// append appends the line with its line end to b.
func (t *entry) append(b []byte, f AccessFormat) []byte {
	if f == FormatJSON {
		return t.appendJSON(b)
	}
	return t.appendCommon(b, f == FormatCombined)
}

// appendCommon appends the line in the Common Log Format. It writes a byte that would end a field
// or a line as \xHH, so that no client can forge a line.
func (t *entry) appendCommon(b []byte, combined bool) []byte {
	if t.client.IsValid() {
		b = t.client.AppendTo(b)
	} else {
		b = append(b, '-')
	}
	b = append(b, " - - ["...)
	b = t.start.AppendFormat(b, "02/Jan/2006:15:04:05 -0700")
	b = append(b, `] "`...)
	b = appendEscaped(b, t.method)
	b = append(b, ' ')
	b = appendEscaped(b, t.target)
	b = append(b, ' ')
	b = appendEscaped(b, t.protocol)
	b = append(b, `" `...)
	b = strconv.AppendInt(b, int64(t.status), 10)
	b = append(b, ' ')
	if t.out > 0 {
		b = strconv.AppendInt(b, t.out, 10)
	} else {
		b = append(b, '-')
	}
	if combined {
		b = appendQuotedOrDash(append(b, ' '), t.referer)
		b = appendQuotedOrDash(append(b, ' '), t.agent)
	}
	return append(b, '\n')
}

func appendQuotedOrDash(b, s []byte) []byte {
	if len(s) == 0 {
		return append(b, `"-"`...)
	}
	return append(appendEscaped(append(b, '"'), s), '"')
}

const hexDigits = "0123456789abcdef"

// appendEscaped writes quotes, backslashes and every byte that is not printable ASCII as \xHH.
func appendEscaped(b, s []byte) []byte {
	for _, c := range s {
		if c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			b = append(b, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		} else {
			b = append(b, c)
		}
	}
	return b
}

// appendJSON appends an object. Durations are in seconds.
func (t *entry) appendJSON(b []byte) []byte {
	b = append(b, `{"time":"`...)
	b = t.start.UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z")
	b = append(b, '"')
	if t.client.IsValid() {
		b = append(b, `,"client":"`...)
		b = append(t.client.AppendTo(b), '"')
	}
	b = appendBytes(b, "method", t.method)
	b = appendText(b, "scheme", t.scheme)
	b = appendText(b, "host", t.host)
	b = appendBytes(b, "target", t.target)
	b = appendBytes(b, "protocol", t.protocol)
	b = appendInt(b, "status", int64(t.status))
	b = appendInt(b, "bytes_in", t.in)
	b = appendInt(b, "bytes_out", t.out)
	b = appendSeconds(b, "duration", t.took)
	b = appendText(b, "route", t.route)
	b = appendText(b, "cache", t.cache)
	if t.reason != "none" {
		b = appendText(b, "reason", t.reason)
	}
	if t.tier != "" {
		b = appendText(b, "tier", t.tier)
		b = appendSeconds(b, "age", t.age)
		b = appendSeconds(b, "ttl", t.ttl)
	}
	b = appendText(b, "key", t.key)
	if t.keyHash != 0 {
		var raw [8]byte
		binary.BigEndian.PutUint64(raw[:], t.keyHash)
		b = append(hex.AppendEncode(append(appendName(b, "key"), '"'), raw[:]), '"')
	}
	b = appendText(b, "coding", t.coding)
	b = appendBytes(b, "referer", t.referer)
	b = appendBytes(b, "user_agent", t.agent)
	if t.e != nil {
		b = t.e.appendOrigin(b)
	}
	return append(b, '}', '\n')
}

// appendOrigin appends the fields about the upstream, a refusal and errors.
func (e *Event) appendOrigin(b []byte) []byte {
	if e.Upstream != "" {
		b = appendText(b, "upstream", e.Upstream)
		b = appendText(b, "upstream_target", e.Target)
		b = appendInt(b, "upstream_status", int64(e.UpstreamStatus))
		b = appendInt(b, "tries", int64(e.Tries))
		b = appendSeconds(b, "first_byte", e.FirstByte)
		b = appendInt(b, "bytes_from_origin", e.BytesFromOrigin)
	}
	b = appendText(b, "refused_by", e.RefusedBy)
	b = appendText(b, "refusal", e.Refusal)
	b = appendText(b, "proxy_status", e.ProxyStatus)
	if e.Err != nil {
		b = appendText(b, "error", e.Err.Error())
	}
	return b
}

func appendName(b []byte, name string) []byte {
	b = append(b, ',', '"')
	b = append(b, name...)
	return append(b, '"', ':')
}

func appendText(b []byte, name, s string) []byte {
	if s == "" {
		return b
	}
	b = append(appendName(b, name), '"')
	return append(appendJSONText(b, s), '"')
}

func appendBytes(b []byte, name string, s []byte) []byte {
	if len(s) == 0 {
		return b
	}
	b = append(appendName(b, name), '"')
	return append(appendJSONText(b, s), '"')
}

func appendInt(b []byte, name string, n int64) []byte {
	return strconv.AppendInt(appendName(b, name), n, 10)
}

func appendSeconds(b []byte, name string, d time.Duration) []byte {
	return strconv.AppendFloat(appendName(b, name), d.Seconds(), 'f', -1, 64)
}

// appendJSONText escapes s for a JSON string (RFC 8259 §7). It replaces invalid UTF-8. It also
// escapes control characters beyond ASCII, because terminals obey them and some readers treat them
// as line ends.
func appendJSONText[T string | []byte](b []byte, s T) []byte {
	from := 0 // start of the bytes that need no escape
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[from:i]...)
		var size int
		b, size = appendJSONRune(b, s[i:min(i+utf8.UTFMax, len(s))])
		i += size
		from = i
	}
	return append(b, s[from:]...)
}

// appendJSONRune appends the first character of s, which needs an escape or is not ASCII, and
// returns its length in s.
func appendJSONRune[T string | []byte](b []byte, s T) ([]byte, int) {
	if c := s[0]; c == '"' || c == '\\' {
		return append(b, '\\', c), 1
	}
	var window [utf8.UTFMax]byte
	n := copy(window[:], s)
	r, size := utf8.DecodeRune(window[:n])
	switch {
	case r == utf8.RuneError && size <= 1:
		return append(b, `\ufffd`...), 1
	case r < 0xa0 || r == 0x2028 || r == 0x2029:
		return append(b, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15]), size
	}
	return append(b, window[:size]...), size
}
