package shared

import (
	"iter"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/penstock/penstock/cachepolicy"
)

// maxHints is how many lists of field names are kept. Each costs a lookup one more field to ask for, which as a rule is not there.
const maxHints = 8

// hints are the lists of field names on which the variants that this process has seen lately vary. There are few: routes vary on
// Accept-Encoding, on Accept-Language, on Origin. With them a lookup can name the variant it wants before it knows the object.
type hints struct {
	lists atomic.Pointer[[]hint] // replaced, never changed
	mu    sync.Mutex             // held by who replaces it
}

// hint is one list, also as the header that asks for its Vary.
type hint struct {
	names  []string
	header http.Header
}

// learn notes the names of a variant.
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
	next := []hint{{names, http.Header{"Vary": {strings.Join(names, ",")}}}}
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

// guesses are what the Vary of the variant for q may be, that of one that does not vary first.
func (h *hints) guesses(q *cachepolicy.Request) iter.Seq[cachepolicy.Vary] {
	return func(yield func(cachepolicy.Vary) bool) {
		if !yield("") {
			return
		}
		lists := h.lists.Load()
		if lists == nil {
			return
		}
		var rules cachepolicy.Rules // the names are what the rules of a route have left of its Vary
		for _, hint := range *lists {
			if v, ok := rules.MakeVary(q, hint.header); ok && !yield(v) {
				return
			}
		}
	}
}
