package cachepolicy

import "encoding/binary"

// KeyParts are the parts of a key that name a URL on a route. Query is the query of the key, as
// KeyQuery returns it.
type KeyParts struct{ Route, Scheme, Host, Path, Query string }

// Parts decodes the parts from Full. They are substrings, so it allocates nothing. It reports false
// if Rules.Key did not make Full.
func (k Key) Parts() (p KeyParts, ok bool) {
	if k.Full == "" || k.Full[0] != methodGET {
		return KeyParts{}, false
	}
	rest := k.Full[1:]
	for _, part := range [...]*string{&p.Route, &p.Scheme, &p.Host, &p.Path, &p.Query} {
		if *part, rest, ok = cutPart(rest); !ok {
			return KeyParts{}, false
		}
	}
	return p, true
}

// cutPart decodes one part that appendPart has encoded.
func cutPart(s string) (part, rest string, ok bool) {
	var head [binary.MaxVarintLen64]byte
	n, size := binary.Uvarint(head[:copy(head[:], s)])
	if size <= 0 || n > uint64(len(s)-size) {
		return "", "", false
	}
	end := size + int(n)
	return s[size:end], s[end:], true
}
