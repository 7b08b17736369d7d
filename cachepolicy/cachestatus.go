package cachepolicy

import (
	"strconv"
	"time"
)

// Forward says why a request went to the origin, in the words of RFC 9211 §2.2.
type Forward uint8

const (
	ForwardNone     Forward = iota // the request was not forwarded
	ForwardBypass                  // the cache was configured not to handle it
	ForwardMethod                  // the method's semantics require it
	ForwardURIMiss                 // no response is stored for the URI
	ForwardVaryMiss                // a response is stored for the URI, but not for these request fields
	ForwardMiss                    // no usable response is stored; the cause is not given
	ForwardRequest                 // a fresh response is stored, but the request's fields forbid its use
	ForwardStale                   // the stored response is stale
	ForwardPartial                 // the stored response lacks some of the bytes
)

var forwardWords = [...]string{
	ForwardNone: "", ForwardBypass: "bypass", ForwardMethod: "method", ForwardURIMiss: "uri-miss", ForwardVaryMiss: "vary-miss",
	ForwardMiss: "miss", ForwardRequest: "request", ForwardStale: "stale", ForwardPartial: "partial",
}

// String returns the value of the fwd parameter. It is "" if the request was not forwarded.
func (f Forward) String() string {
	if int(f) < len(forwardWords) {
		return forwardWords[f]
	}
	return "miss"
}

// CacheStatus describes how the gateway handled a request, for the Cache-Status field (RFC 9211).
type CacheStatus struct {
	Hit           bool          // answered without going to the origin
	Forward       Forward       // why it was forwarded; ignored if Hit is set, since hit and fwd exclude each other (§2.1)
	ForwardStatus int           // the origin's status; 0 if there was no answer, or to leave it out
	Stored        bool          // the response was stored
	Collapsed     bool          // another request's fill gave the answer
	HasTTL        bool          // TTL is known
	TTL           time.Duration // remaining lifetime; negative if stale
	Key           string        // the key, for debugging; "" leaves it out
	Reason        Reason        // the detail parameter; ReasonNone leaves it out
}

// AppendCacheStatus appends one Cache-Status member to dst. The name must be an sf-token, such as
// "penstock". Apart from growing dst, it allocates nothing. A cache that passes a response on
// appends its member after the existing ones (RFC 9211 §2).
func AppendCacheStatus(dst []byte, name string, o CacheStatus) []byte {
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

func appendForward(dst []byte, o CacheStatus) []byte {
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

// floorSeconds rounds down, so that a response which became stale a moment ago has a negative ttl
// (RFC 9211 §2.4).
func floorSeconds(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d < 0 && d%time.Second != 0 {
		s--
	}
	return s
}

// appendSFString appends a String of RFC 9651 §3.3.3. It replaces each character that such a string
// can't hold by "?", because the key is only shown and never parsed.
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
