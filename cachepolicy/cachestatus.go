package cachepolicy

import (
	"strconv"
	"time"
)

// Forward says why a request went to the origin, in the words of RFC 9211 §2.2.
type Forward uint8

const (
	ForwardNone     Forward = iota // it did not
	ForwardBypass                  // the cache was configured not to handle it
	ForwardMethod                  // the method's semantics require it
	ForwardURIMiss                 // nothing is stored for the URI
	ForwardVaryMiss                // something is stored for the URI, but not for these request fields
	ForwardMiss                    // nothing usable is stored, and more is not said
	ForwardRequest                 // a fresh response is stored, but the request's fields don't allow it
	ForwardStale                   // what is stored is stale
	ForwardPartial                 // what is stored does not have all the bytes
)

var forwardWords = [...]string{
	ForwardNone: "", ForwardBypass: "bypass", ForwardMethod: "method", ForwardURIMiss: "uri-miss", ForwardVaryMiss: "vary-miss",
	ForwardMiss: "miss", ForwardRequest: "request", ForwardStale: "stale", ForwardPartial: "partial",
}

// String is the value of the fwd parameter, "" for a request that was not forwarded.
func (f Forward) String() string {
	if int(f) < len(forwardWords) {
		return forwardWords[f]
	}
	return "miss"
}

// Outcome is what the gateway did with a request, as Cache-Status tells it (RFC 9211).
type Outcome struct {
	Hit           bool          // answered without going to the origin
	Forward       Forward       // why it was forwarded; ignored with Hit, for a response is one or the other (§2.1)
	ForwardStatus int           // what the origin answered; 0: nothing, or not to be told
	Stored        bool          // the response was stored
	Collapsed     bool          // answered by another request's call
	HasTTL        bool          // TTL is known
	TTL           time.Duration // lifetime left, negative when stale
	Key           string        // the key, for debugging; "" leaves it out
	Reason        Reason        // detail; ReasonNone leaves it out
}

// AppendCacheStatus appends one Cache-Status member to dst: name must be an sf-token, such as "penstock". It allocates nothing
// beyond dst. Whoever hands on a response puts it behind the members that are there already (RFC 9211 §2).
func AppendCacheStatus(dst []byte, name string, o Outcome) []byte {
	dst = append(dst, name...)
	if o.Hit {
		dst = append(dst, "; hit"...)
	} else {
		dst = appendForward(dst, o)
	}
	if o.HasTTL {
		dst = append(dst, "; ttl="...)
		dst = strconv.AppendInt(dst, floorSeconds(o.TTL), 10)
	}
	if o.Key != "" {
		dst = append(dst, "; key="...)
		dst = appendSFString(dst, o.Key)
	}
	if o.Reason != ReasonNone {
		dst = append(dst, "; detail="...)
		dst = append(dst, o.Reason.String()...)
	}
	return dst
}

func appendForward(dst []byte, o Outcome) []byte {
	if f := o.Forward.String(); f != "" {
		dst = append(dst, "; fwd="...)
		dst = append(dst, f...)
	}
	if o.ForwardStatus != 0 {
		dst = append(dst, "; fwd-status="...)
		dst = strconv.AppendInt(dst, int64(o.ForwardStatus), 10)
	}
	if o.Stored {
		dst = append(dst, "; stored"...)
	}
	if o.Collapsed {
		dst = append(dst, "; collapsed"...)
	}
	return dst
}

// floorSeconds rounds down, so that a response which is stale by a moment has a negative ttl (RFC 9211 §2.4).
func floorSeconds(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d < 0 && d%time.Second != 0 {
		s--
	}
	return s
}

// appendSFString appends an RFC 9651 §3.3.3 String. What such a string can't hold becomes "?": a key is shown, never parsed.
func appendSFString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20 || c > 0x7e:
			dst = append(dst, '?')
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
