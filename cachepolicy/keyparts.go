package cachepolicy

import "encoding/binary"

// KeyParts are the parts of a key that name a URL on a route. Query is the chosen query, as KeyQuery gives it.
type KeyParts struct{ Route, Scheme, Host, Path, Query string }

// Parts reads them back from Full. They are parts of it: nothing is allocated. It reports false when Full was not made by Rules.Key.
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

// cutPart undoes appendPart.
func cutPart(s string) (part, rest string, ok bool) {
	var head [binary.MaxVarintLen64]byte
	n, size := binary.Uvarint(head[:copy(head[:], s)])
	if size <= 0 || n > uint64(len(s)-size) {
		return "", "", false
	}
	end := size + int(n)
	return s[size:end], s[end:], true
}
