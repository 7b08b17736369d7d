package entry

import (
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/store"
)

// Form is the representation in which an entry is delivered.
type Form struct {
	store.Representation
	From *store.Representation // if set, the body is decoded from this one during the delivery
}

// Choose returns the representation of e for a client that accepts these codings, if e has it.
// Otherwise it returns nil and the coding that must be made.
func (p *Policy) Choose(e *store.Entry, accept compress.Accept) (rep *store.Representation, want compress.Coding) {
	first := &e.Representations[0]
	if e.Derivable == 0 {
		return first, first.Coding
	}
	want, ok := accept.Pick((HeldCodings(e)|e.Derivable)&p.Offered(e), p.Encodings())
	// If no coding suits, RFC 9110 §12.5.3 lets the cache disregard the field. Every client can
	// read a body without a coding.
	if !ok {
		want = first.Coding
		if e.Derivable.Has(compress.Identity) {
			want = compress.Identity
		}
	}
	return RepresentationUnder(e, want), want
}

// Offered returns the codings under which the route gives e to clients: the origin's own, identity,
// and the route's codings. The route may have had other codings when e was stored, and may make no
// codings now.
func (p *Policy) Offered(e *store.Entry) compress.Set {
	set := compress.SetOf(compress.Identity)
	set.Add(e.Representations[0].Coding)
	for _, c := range p.Encodings() {
		set.Add(c)
	}
	return set
}

// Encodings returns the route's codings, the preferred one first.
func (p *Policy) Encodings() []compress.Coding {
	if p.Compress == nil {
		return nil
	}
	return p.Compress.Encodings
}

// DecodedForm returns e in a form that is decoded during delivery, for a client that accepts no
// held representation.
func DecodedForm(e *store.Entry) Form {
	first := &e.Representations[0]
	if first.Coding == compress.Identity || !e.Derivable.Has(compress.Identity) {
		return Form{Representation: *first}
	}
	return Form{Representation: CodedRepresentation(e.Status, first.Header(), compress.Identity, store.Body{}), From: first}
}

// HeldCodings returns the codings of e's representations.
func HeldCodings(e *store.Entry) compress.Set {
	var set compress.Set
	for i := range e.Representations {
		set.Add(e.Representations[i].Coding)
	}
	return set
}

// RepresentationUnder returns the representation of e under coding, or nil if e has none.
func RepresentationUnder(e *store.Entry, coding compress.Coding) *store.Representation {
	for i := range e.Representations {
		if e.Representations[i].Coding == coding {
			return &e.Representations[i]
		}
	}
	return nil
}
