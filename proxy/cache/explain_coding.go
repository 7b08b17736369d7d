package cache

import (
	"net/http"

	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/store"
)

// Coding says how the content of an answer is coded, and why.
type Coding struct {
	Known     bool
	Sent      compress.Coding
	Held      compress.Set      // what is stored, or comes from the origin
	Derivable compress.Set      // what can be made of it
	Preferred []compress.Coding // of the route
	Accepted  bool              // false: the client accepts nothing of it, and gets what there is
	Why       compress.Reason   // why none is made; ReasonNone: one may be
}

// storedCoding is the choice of represent for x.
func (g *explaining) storedCoding(e *store.Entry) Coding {
	first := &e.Representations[0]
	k := Coding{Known: true, Sent: first.Coding, Held: heldCodings(e), Derivable: e.Derivable, Preferred: g.x.res.encodings(), Accepted: true}
	if e.Derivable != 0 {
		if want, ok := compress.Canonical(g.x.r.Header["Accept-Encoding"]).Pick(k.Held|k.Derivable, k.Preferred); ok {
			k.Sent = want
		} else {
			k.Accepted = false
		}
	}
	k.Why = g.x.res.whyNone(e.Status, first.Header(), first.Body.Size, first.Coding)
	return k
}

// answerCoding is the choice for a response that comes from the origin.
func (g *explaining) answerCoding(a *answer) Coding {
	res, h := g.x.res, a.resp.Header
	coding := compress.HeaderCoding(h)
	k := Coding{Known: true, Sent: coding, Held: compress.SetOf(coding), Preferred: res.encodings(), Accepted: true}
	k.Derivable = res.derivable(a.resp.StatusCode, h, a.resp.ContentLength, coding)
	if want, ok := compress.Canonical(g.x.r.Header["Accept-Encoding"]).Pick(k.Held|k.Derivable, k.Preferred); ok {
		k.Sent = want
	} else {
		k.Accepted = false
	}
	k.Why = res.whyNone(a.resp.StatusCode, h, a.resp.ContentLength, coding)
	return k
}

// whyNone tells why no coding is made of a response.
func (res *Resource) whyNone(status int, h http.Header, size int64, coding compress.Coding) compress.Reason {
	if res.Compress == nil {
		return compress.ReasonOff
	}
	_, why := res.Compress.Eligible(status, h, size, coding)
	return why
}
