package entry

import (
	"net/http"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/store"
)

// HeaderOf returns the stored header of e, or nil if e is nil.
func HeaderOf(e *store.Entry) http.Header {
	if e == nil {
		return nil
	}
	return e.Representations[0].Header()
}

// MetaOf returns the facts about e, or nil if e is nil.
func MetaOf(e *store.Entry) *cachepolicy.Meta {
	if e == nil {
		return nil
	}
	return &e.Meta
}
