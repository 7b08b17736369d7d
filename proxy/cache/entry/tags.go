package entry

import (
	"net/http"
	"slices"

	"github.com/penstock/penstock/proxy/store"
)

// Tags says where the tags of a stored response come from.
type Tags struct {
	Header string // response field with space- or comma-separated tags, in canonical form; "": no field
	Send   bool   // true if the field is passed on to clients, without internal tags
	// Internal reports whether a tag must not leave the process; nil: no tag is internal.
	Internal func(tag string) bool
	// Rules is the tag of the rules in force (see RuleTag); "": the route has no such rules.
	Rules string
	// Expand returns further tags for a request. It may be nil. It is called only while the request
	// is there.
	Expand func(*http.Request) []string
	// Overfull is called with the name of the limit that left out tags of a response. It may be
	// nil.
	Overfull func(limit string)
}

// OfRequest returns the tags that follow from the request.
func (t *Tags) OfRequest(r *http.Request) []string {
	var tags []string
	if t.Expand != nil {
		tags = t.Expand(r)
	}
	if t.Rules != "" {
		tags = append(slices.Clip(tags), t.Rules)
	}
	return tags
}

// Lift returns the tags that the header h names, and leaves in h only the tags that clients may
// see. Every response of a route goes through it, stored or not. The result is nil if h has no such
// field.
func (t *Tags) Lift(h http.Header) []string {
	lines := h[t.Header]
	if t.Header == "" || len(lines) == 0 {
		return nil
	}
	l := t.list([]string{})
	for _, line := range lines {
		l.add(line)
	}
	t.Hide(h)
	return l.all()
}

// Hide removes from h the tags that clients may not see.
func (t *Tags) Hide(h http.Header) { t.Field().Hide(h) }

// Field returns the response field in which origins name tags.
func (t *Tags) Field() TagField {
	return TagField{Name: t.Header, Send: t.Send, Internal: t.Internal}
}

// Joined returns the tags of a response together with those of its request.
func (t *Tags) Joined(ofAnswer, ofRequest []string) []string {
	if len(ofAnswer) == 0 && len(ofRequest) == 1 && isMark(ofRequest[0]) {
		return ofRequest[:1:1] // as for most responses
	}
	l := t.list(slices.Clip(ofAnswer))
	for _, tag := range ofRequest {
		if isMark(tag) { // no limit applies to these
			l.tags = append(l.tags, tag)
		} else {
			l.add(tag)
		}
	}
	return l.all()
}

// Shown returns the tags that an operator may see: the tags of origins and of the configuration.
func Shown(tags []string) []string {
	return slices.DeleteFunc(slices.Clone(tags), isMark)
}

// isMark reports whether tag is one of the gateway's own tags, which no limit leaves out.
func isMark(tag string) bool { return tag < " " }

// tagList collects the tags that are stored with a response.
type tagList struct {
	tags         []string
	count, bytes int // of the tags that count for the limits
	more         bool
	overfull     func(limit string)
}

// list returns a tagList that begins with the tags that were collected before.
func (t *Tags) list(tags []string) *tagList {
	l := &tagList{tags: tags, overfull: t.Overfull}
	for _, tag := range tags {
		if !isMark(tag) {
			l.count++
			l.bytes += len(tag)
		}
	}
	return l
}

// add adds the tags of a field line.
func (l *tagList) add(line string) {
	for tag := range Words(line) {
		switch {
		case tag == store.MoreTags: // a part of the response had more tags than were stored
			l.more = true
		case len(tag) > store.MaxTagBytes:
			l.leaveOut("bytes of one tag")
		case l.count == store.MaxTags:
			l.leaveOut("number of tags")
		case l.bytes+len(tag) > store.MaxTagsBytes:
			l.leaveOut("bytes of all tags")
		default:
			l.tags = append(l.tags, tag)
			l.count++
			l.bytes += len(tag)
		}
	}
}

func (l *tagList) leaveOut(limit string) {
	if !l.more && l.overfull != nil {
		l.overfull(limit)
	}
	l.more = true
}

// all returns the tags. It includes MoreTags if tags were left out.
func (l *tagList) all() []string {
	if l.more && !slices.Contains(l.tags, store.MoreTags) {
		return append(l.tags, store.MoreTags)
	}
	return l.tags
}
