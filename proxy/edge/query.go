package edge

import (
	"errors"
	"strings"
)

var (
	errQuery      = errors.New("the query holds characters that must be escaped")
	errParameters = errors.New("the query has too many parameters")
)

// checkQuery accepts a query that can be sent on byte for byte. What is escaped in it stays so and is never decoded into a field, hence line breaks
// in escaped form are data (GraphQL over GET has them); %00 is not, as no application means it. A space would end the request line of HTTP/1.1 when
// the request came over HTTP/2.
func checkQuery(raw string, maxParameters int) error {
	separators := 0
	for i := range len(raw) {
		switch c := raw[i]; {
		case c <= ' ' || c == 0x7f || c == '#':
			return errQuery
		case c == '&' || c == ';': // some frameworks separate by ; too
			separators++
		case c == '%' && strings.HasPrefix(raw[i:], "%00"):
			return errQuery
		}
	}
	if maxParameters > 0 && separators >= maxParameters {
		return errParameters
	}
	return nil
}
