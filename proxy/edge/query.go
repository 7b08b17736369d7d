package edge

import "errors"

var (
	errQuery      = errors.New("the query holds characters that must be escaped")
	errParameters = errors.New("the query has too many parameters")
)

// checkQuery accepts a query that can be forwarded byte for byte. The gateway never decodes an
// escape in it into a header field, so each escaped byte is harmless data: line breaks occur in
// GraphQL over GET, NUL in binary cursors and in BitTorrent announces. A space, which HTTP/2 can
// carry, would end the request line of HTTP/1.1. maxParameters of 0 means no limit.
func checkQuery(raw string, maxParameters int) error {
	separators := 0
	for i := range len(raw) {
		switch c := raw[i]; {
		case c <= ' ' || c == 0x7f || c == '#':
			return errQuery
		case c == '&' || c == ';': // some frameworks also separate by ;
			separators++
		}
	}
	if maxParameters > 0 && separators >= maxParameters {
		return errParameters
	}
	return nil
}
