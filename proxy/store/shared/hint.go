package shared

import (
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/penstock/penstock/cachepolicy"
)

// maxHints limits the lists of field names. Each list adds one field to every lookup, and that
// field usually does not exist.
const maxHints = 8

// hints holds the lists of field names on which recently seen variants vary. They are few:
// routes vary on Accept-Encoding, Accept-Language or Origin. With hints a lookup can name the
// likely variants before it knows the object.
type hints struct {
	lists atomic.Pointer[[]hint] // replaced as a whole, never changed
	mu    sync.Mutex             // serialises replacements
}

// hint is one list of names, and a Vary with these names.
type hint struct {
	names []string
	vary  cachepolicy.Vary
}

// learn adds the names of a variant.
func (h *hints) learn(v cachepolicy.Vary) {
	if v == "" || h.knows(v) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.knows(v) {
		return
	}
	names := slices.Collect(v.Names())
	if len(names) == 0 {
		return
	}
	next := []hint{{names, cachepolicy.Vary(strings.Clone(string(v)))}}
	if had := h.lists.Load(); had != nil {
		next = append(next, (*had)[:min(len(*had), maxHints-1)]...)
	}
	h.lists.Store(&next)
}

func (h *hints) knows(v cachepolicy.Vary) bool {
	lists := h.lists.Load()
	return lists != nil && slices.ContainsFunc(*lists, func(hint hint) bool { return sameNames(hint.names, v) })
}

func sameNames(names []string, v cachepolicy.Vary) bool {
	i := 0
	for name := range v.Names() {
		if i == len(names) || names[i] != name {
			return false
		}
		i++
	}
	return i == len(names)
}

// guesses yields the possible Vary values of the variant for q. The first is the empty Vary.
func (h *hints) guesses(q *cachepolicy.Request) iter.Seq[cachepolicy.Vary] {
	return func(yield func(cachepolicy.Vary) bool) {
		if !yield("") {
			return
		}
		lists := h.lists.Load()
		if lists == nil {
			return
		}
		for _, hint := range *lists {
			if !yield(hint.vary.For(q)) {
				return
			}
		}
	}
}
