package entry

import (
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/store"
)

// Transcoded returns the body of rep under coding. It decodes no more than may be stored.
func (p *Policy) Transcoded(rep *store.Representation, coding compress.Coding, best bool) ([]byte, error) {
	segments := rep.Body.Segments
	if rep.Coding != compress.Identity {
		plain, err := compress.Decode(nil, rep.Coding, segments, compress.Limit{Bytes: p.MaxObject, Ratio: MaxDecodedRatio})
		if err != nil || coding == compress.Identity {
			return plain, err
		}
		segments = [][]byte{plain}
	}
	level := p.Compress.Level[coding]
	if best {
		level = compress.Best(coding)
	}
	return compress.Encode(nil, coding, level, segments)
}

// WithRepresentation returns a copy of e with rep. rep replaces the representation of the same
// coding, if e has one.
func WithRepresentation(e *store.Entry, rep store.Representation) *store.Entry {
	changed := WithoutCoding(e, rep.Coding)
	changed.Derivable = e.Derivable
	changed.Representations = append(changed.Representations, rep)
	return changed
}

// WithoutCoding returns a copy of e without the representation that was made under coding. That
// coding is not made again.
func WithoutCoding(e *store.Entry, coding compress.Coding) *store.Entry {
	changed := copyOf(e)
	changed.Derivable = e.Derivable &^ compress.SetOf(coding)
	changed.Representations = nil
	for i, r := range e.Representations {
		if i == 0 || r.Coding != coding {
			changed.Representations = append(changed.Representations, r)
		}
	}
	return changed
}

// copyOf returns a copy of e that the caller may change until it publishes it.
func copyOf(e *store.Entry) *store.Entry {
	c := &store.Entry{Meta: e.Meta, Representations: e.Representations, Tags: e.Tags, Epoch: e.Epoch, Fence: e.Fence, Derivable: e.Derivable}
	c.Inherit(e)
	return c
}

// Doubted returns a copy of e that answers no request before the origin has validated it.
func Doubted(e *store.Entry) *store.Entry {
	d := copyOf(e)
	d.Flags |= cachepolicy.FlagMustRevalidate
	d.Lifetime, d.StaleRevalid, d.StaleError = 0, 0, -1
	return d
}

// Softened returns a copy of e whose lifetime ended at the time at of a soft purge. If the clock
// was set back to before that time since, the lifetime ends now. The stale windows follow the
// lifetime.
//
// softened measures at and now from Born, which has no monotonic reading, so both distances follow
// the wall clock. A direct comparison of at and now would use their monotonic readings, which do
// not show that the clock was set back.
func Softened(e *store.Entry, at, now time.Time) *store.Entry {
	soft := copyOf(e)
	soft.Lifetime = min(e.Lifetime, max(0, min(at.Sub(e.Born), now.Sub(e.Born))))
	return soft
}
