package entry

import (
	"net/http"

	"github.com/penstock/penstock/compress"
)

// Codings are the content codings of a route.
type Codings struct {
	Policy    *compress.Policy // nil if the route makes no coding
	MaxObject int64            // bytes of a response that is stored
}

// MaxDecodedRatio bounds how much a coded body may grow. gzip reaches about 1000 to 1 at best, and
// no honest text comes near that.
const MaxDecodedRatio = 400

// DecodeLimit bounds the decoding for one client.
func (k Codings) DecodeLimit() compress.Limit {
	return compress.Limit{Bytes: 16 * k.MaxObject, Ratio: MaxDecodedRatio}
}

// Derivable returns the codings that can be made of a response with this status, header, size and
// coding. size is -1 if it is not known.
func (k Codings) Derivable(status int, h http.Header, size int64, coding compress.Coding) compress.Set {
	var set compress.Set
	if coding == compress.Unknown {
		return set
	}
	if coding != compress.Identity && !compress.NoTransform(h) && status != http.StatusPartialContent && len(h["Content-Range"]) == 0 {
		set.Add(compress.Identity)
	}
	if k.Policy == nil {
		return set
	}
	if ok, _ := k.Policy.Eligible(status, h, size, compress.Identity); !ok {
		return set
	}
	for _, c := range k.Policy.Encodings {
		if c != coding {
			set.Add(c)
		}
	}
	return set
}
