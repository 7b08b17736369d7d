package cache

import (
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/cache/entry"
	"github.com/penstock/penstock/proxy/cache/fill"
	"github.com/penstock/penstock/proxy/store"
)

// Coding is the content coding of an answer, with the reason for it.
type Coding struct {
	Known     bool
	Sent      compress.Coding
	Held      compress.Set      // the stored codings, or the coding that the origin sends
	Derivable compress.Set      // the codings that the gateway can make from it
	Preferred []compress.Coding // the route's order of preference
	Accepted  bool              // false: the client accepts no available coding, and gets one all the same
	Why       compress.Reason   // why the gateway makes no coding; ReasonNone: it may make one
}

// storedCoding returns the coding that represent chooses for x.
func (g *explaining) storedCoding(e *store.Entry) Coding {
	first := &e.Representations[0]
	k := Coding{Known: true, Sent: first.Coding, Held: entry.HeldCodings(e) & g.x.res.Offered(e), Derivable: e.Derivable & g.x.res.Offered(e), Preferred: g.x.res.Encodings(), Accepted: true}
	if e.Derivable != 0 {
		if want, ok := compress.Canonical(g.x.HTTP.Header["Accept-Encoding"]).Pick(k.Held|k.Derivable, k.Preferred); ok {
			k.Sent = want
		} else {
			k.Accepted = false
		}
	}
	k.Why = g.x.res.WhyNoCoding(e.Status, first.Header(), first.Body.Size, first.Coding)
	return k
}

// answerCoding returns the coding of a response from the origin.
func (g *explaining) answerCoding(a *fill.Answer) Coding {
	res, h := g.x.res, a.Response.Header
	coding := compress.HeaderCoding(h)
	k := Coding{Known: true, Sent: coding, Held: compress.SetOf(coding), Preferred: res.Encodings(), Accepted: true}
	k.Derivable = res.Derivable(a.Response.StatusCode, h, a.Response.ContentLength, coding)
	if want, ok := compress.Canonical(g.x.HTTP.Header["Accept-Encoding"]).Pick(k.Held|k.Derivable, k.Preferred); ok {
		k.Sent = want
	} else {
		k.Accepted = false
	}
	k.Why = res.WhyNoCoding(a.Response.StatusCode, h, a.Response.ContentLength, coding)
	return k
}
