package entry

import (
	"net/http"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/store"
)

// Draft is a response in the form in which it is stored, without its body. Each new entry is made
// of a Draft.
type Draft struct {
	Status    int
	Header    http.Header // it must not be changed
	Head      string      // wire form of Header
	Tags      []string
	Coding    compress.Coding // of the origin's body
	Derivable compress.Set    // the codings that can be made of that body
}

// Draft returns the draft of a new response. It changes h, the header that the origin sent. size is
// the size of the body, -1 if it is not known. tags are all tags of the response. part is the
// Content-Range of a part, which is not stored: each delivery writes the range that it sends.
func (p *Policy) Draft(status int, h http.Header, size int64, meta *cachepolicy.Meta, tags []string) (d Draft, part []string) {
	coding, derivable := compress.HeaderCoding(h), compress.Set(0)
	p.makeStorable(h, meta)
	if !meta.Complete() {
		part = h["Content-Range"]
		delete(h, "Content-Range")
	} else if BodyAllowed(meta.Status) {
		derivable = p.Derivable(status, h, size, coding)
	}
	if derivable != 0 || p.Compress != nil && coding != compress.Identity || meta.Vary.Holds("Accept-Encoding") {
		compress.AddVary(h)
	}
	return newDraft(status, h, tags, coding, derivable), part
}

// makeStorable removes the fields from h that are not stored, and adds a Date if h has none.
func (p *Policy) makeStorable(h http.Header, meta *cachepolicy.Meta) {
	p.Rules.StripUnstorable(h)
	ensureDate(h, meta.Received)
}

func newDraft(status int, h http.Header, tags []string, coding compress.Coding, derivable compress.Set) Draft {
	return Draft{Status: status, Header: h, Head: buildHead(status, h), Tags: tags, Coding: coding, Derivable: derivable}
}

// Entry returns the entry of the response with the facts meta and the body that the origin sent.
func (d *Draft) Entry(meta *cachepolicy.Meta, body store.Body) *store.Entry {
	e := &store.Entry{
		Meta: *meta, Tags: d.Tags, Derivable: d.Derivable,
		Representations: []store.Representation{{Coding: d.Coding, Head: d.Head, Body: body}},
	}
	if e.Complete() && e.Total < 0 {
		e.Total = body.Size
	}
	return e
}

// Coded returns body under another coding, with the matching header fields.
func (d *Draft) Coded(coding compress.Coding, body store.Body) store.Representation {
	return CodedRepresentation(d.Status, d.Header, coding, body)
}

// Freshened returns a copy of e with the fields and the lifetime of the verdict (RFC 9111 §3.2),
// and the same body.
func (p *Policy) Freshened(e *store.Entry, v *cachepolicy.Verdict, tags []string) *store.Entry {
	h := v.Header.Clone()
	p.makeStorable(h, &v.Meta)
	if e.Derivable != 0 {
		compress.AddVary(h)
	}
	d := newDraft(e.Status, h, tags, e.Representations[0].Coding, e.Derivable)
	fresh := &store.Entry{Meta: v.Meta, Tags: tags, Derivable: e.Derivable, Representations: make([]store.Representation, len(e.Representations))}
	fresh.Inherit(e)
	for i, rep := range e.Representations {
		rep.Head = d.Head
		if i > 0 {
			rep.Head = codedHead(d.Status, d.Header, rep.Coding)
		}
		fresh.Representations[i] = rep
	}
	return fresh
}
