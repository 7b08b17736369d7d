package route

import (
	"strings"

	"github.com/go-chi/chi/v5"
)

// Params holds the parameters that a path pattern captured. Their values are parts of the routed
// path.
type Params struct {
	few   [4]param
	more  []param
	count int // the number of parameters in few
}

type param struct{ name, value string }

// take copies the parameters out of c, because chi reuses c.
func (p *Params) take(c *chi.Context) {
	for i, name := range c.URLParams.Keys {
		next := param{name, c.URLParams.Values[i]}
		if p.count == len(p.few) {
			p.more = append(p.more, next)
			continue
		}
		p.few[p.count] = next
		p.count++
	}
}

// Captured returns the captured values by name, or nil if the pattern captured nothing. path must
// equal the routed path. The values are slices of path, so they stay valid if the routed path was a
// view of a buffer that is used again.
func (p *Params) Captured(path string) map[string]string {
	if p.count == 0 {
		return nil
	}
	out := make(map[string]string, p.count+len(p.more))
	for _, list := range [][]param{p.few[:p.count], p.more} {
		for _, one := range list {
			at := strings.Index(path, one.value)
			out[one.name] = path[at : at+len(one.value)]
		}
	}
	return out
}
