package cache

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/cache/deliver"
	"github.com/penstock/penstock/proxy/cache/entry"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/store"
)

// shape holds the offsets in the stored head of a representation at which the lines go that differ
// in each answer. With them all lines are in alphabetical order, as net/http writes them. A
// remembered shape refers to no stored bytes, and so keeps no response in memory.
type shape struct {
	seq    uint64 // of the response
	coding compress.Coding
	size   int // of the stored head

	line          int    // offset after the status line
	allow         int    // offset of the fields of the CORS protocol
	age           int    // offset of Age
	status        int    // offset of Cache-Status
	afterStatus   int    // offset after the stored Cache-Status lines, whose values are in before
	before        string // the Cache-Status of caches nearer to the origin
	contentLength int    // offset of Content-Length
	vary          int    // offset after the stored Vary lines
	varies        bool   // true if these list Origin

	contentType, etag string
}

// shape returns the shape of rep, which is one of e's representations. It returns nil if rep cannot
// be sent as it is stored.
func (r *rememberedHit) shape(e *store.Entry, rep *store.Representation) *shape {
	for i := range r.shapes {
		if s := r.shapes[i].Load(); s != nil && s.seq == e.Seq && s.coding == rep.Coding && s.size == len(rep.Head) {
			return s
		}
	}
	s := new(shape)
	if !s.fit(e, rep) {
		return nil
	}
	s.contentType, s.etag = strings.Clone(s.contentType), strings.Clone(s.etag)
	r.shapes[r.turn.Add(1)%ways].Store(s)
	return s
}

// shapeOf returns the shape of rep, which is one of e's representations. It takes the shape that
// known remembers. If known is nil, it returns a new shape that is valid as long as ask.
func (ask *asking) shapeOf(known *rememberedHit, e *store.Entry, rep *store.Representation) *shape {
	if known != nil {
		return known.shape(e, rep)
	}
	if !ask.shape.fit(e, rep) {
		return nil
	}
	return &ask.shape
}

// fit finds the offsets and returns true. It returns false if rep cannot be sent as it is stored:
// net/http writes the status line of an unnamed status in its own way, and sends no body with some
// statuses.
func (s *shape) fit(e *store.Entry, rep *store.Representation) bool {
	line := protocolText + strconv.Itoa(e.Status) + " " + http.StatusText(e.Status) + "\r\n"
	if http.StatusText(e.Status) == "" || !entry.BodyAllowed(e.Status) || !strings.HasPrefix(rep.Head, line) {
		return false
	}
	*s = shape{seq: e.Seq, coding: rep.Coding, size: len(rep.Head)}
	at, last := len(line), ""
	s.line, s.allow, s.age, s.status, s.afterStatus, s.contentLength, s.vary = at, at, at, at, at, at, at
	var before []string
	for name, value := range rep.Fields() {
		at += len(name) + len(": ") + len(value) + len("\r\n")
		if name < last || name == "Age" || name == "Content-Length" || name == "Connection" || name == "Transfer-Encoding" || name == "Trailer" {
			return false
		}
		last = name
		switch name {
		case "Content-Type":
			s.contentType = value
		case "Etag":
			s.etag = value
		case "Vary":
			s.varies = s.varies || edge.VariesOnOrigin(value)
		}
		if name == "Cache-Status" {
			before = append(before, value)
			s.afterStatus, s.contentLength, s.vary = at, at, at
			continue
		}
		s.pass(name, at)
	}
	if at != len(rep.Head) {
		return false
	}
	if s.afterStatus = max(s.afterStatus, s.status); len(before) > 0 {
		s.before = strings.Join(before, ", ") + ", "
	}
	return true
}

// pass notes that a field ends at an offset. Lines with later names go after it.
func (s *shape) pass(name string, end int) {
	if edge.BeforeCORSFields(name) {
		s.allow = end
	}
	if name < "Age" {
		s.age = end
	}
	if name < "Cache-Status" {
		s.status = end
	}
	if name < "Content-Length" {
		s.contentLength = end
	}
	if name <= "Vary" {
		s.vary = end
	}
}

const protocolText = "HTTP/1.1 "

// append appends the whole head of an answer to dst.
func (s *shape) append(dst []byte, rep *store.Representation, name string, d cachepolicy.Decision, grant *edge.CORSGrant) []byte {
	head := rep.Head
	dst = append(dst, head[:s.allow]...)
	dst = grant.AppendLines(dst)
	dst = append(dst, head[s.allow:s.age]...)
	dst = appendAge(dst, d)
	dst = append(dst, head[s.age:s.status]...)
	dst = s.appendStatus(dst, name, d)
	dst = append(dst, head[s.afterStatus:s.contentLength]...)
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, rep.Body.Size, 10)
	dst = append(dst, "\r\n"...)
	dst = append(dst, head[s.contentLength:s.vary]...)
	dst = grant.AppendVary(dst, s.varies)
	dst = append(dst, head[s.vary:]...)
	return append(dst, "\r\n"...)
}

// appendNotModified appends the head of a 304, without the fields that describe the content.
func (s *shape) appendNotModified(dst []byte, rep *store.Representation, name string, d cachepolicy.Decision, grant *edge.CORSGrant) []byte {
	head := rep.Head
	dst = append(dst, protocolText+"304 Not Modified\r\n"...)
	dst = appendOthers(dst, head[s.line:s.allow])
	dst = grant.AppendLines(dst)
	dst = appendOthers(dst, head[s.allow:s.age])
	dst = appendAge(dst, d)
	dst = appendOthers(dst, head[s.age:s.status])
	dst = s.appendStatus(dst, name, d)
	dst = appendOthers(dst, head[s.afterStatus:s.vary])
	dst = grant.AppendVary(dst, s.varies)
	dst = appendOthers(dst, head[s.vary:])
	return append(dst, "\r\n"...)
}

// appendOthers appends the lines that do not describe the content.
func appendOthers(dst []byte, lines string) []byte {
	for lines != "" {
		end := strings.IndexByte(lines, '\n') + 1
		if name, _, _ := strings.Cut(lines[:end], ":"); !deliver.DescribesContent(name) {
			dst = append(dst, lines[:end]...)
		}
		lines = lines[end:]
	}
	return dst
}

func appendAge(dst []byte, d cachepolicy.Decision) []byte {
	dst = append(dst, "Age: "...)
	dst = strconv.AppendInt(dst, deliver.Seconds(d.Age), 10)
	return append(dst, "\r\n"...)
}

func (s *shape) appendStatus(dst []byte, name string, d cachepolicy.Decision) []byte {
	dst = append(dst, "Cache-Status: "...)
	dst = append(dst, s.before...)
	dst = cachepolicy.AppendCacheStatus(dst, name, hitOutcome(d))
	return append(dst, "\r\n"...)
}
