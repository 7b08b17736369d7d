package paginate

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
)

// Limit is the number of elements in a page.
type Limit struct {
	Param        string // "": no limit
	Default, Max int
}

// ErrLimit means that the limit is not a positive number, or that there is more than one.
var ErrLimit = errors.New("the limit of a page must be one positive number")

// Query returns raw with the limit in a single form: at the end, at most Max, and present even if
// the request has no limit. It removes an empty cursor. So all ways to request a page have the same
// query.
func (p *Pages) Query(raw string) (string, error) {
	var params []string
	limit := p.Limit.Default
	limits := 0
	for param := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(param, "=")
		switch {
		case param == "":
			continue
		case p.Limit.Param != "" && p.hidesLimit(param):
			return "", ErrLimit
		case p.Limit.Param != "" && nameOf(name) == p.Limit.Param:
			n, err := positive(value)
			if limits++; err != nil || limits > 1 {
				return "", ErrLimit
			}
			limit = n
			continue
		case p.Cursor != "" && value == "" && nameOf(name) == p.Cursor:
			continue
		}
		params = append(params, param)
	}
	if p.Limit.Param != "" {
		params = append(params, url.QueryEscape(p.Limit.Param)+"="+strconv.Itoa(min(limit, p.Limit.Max)))
	}
	return strings.Join(params, "&"), nil
}

// hidesLimit reports whether a parameter contains a limit for a server that treats a semicolon as a
// separator.
func (p *Pages) hidesLimit(param string) bool {
	if !strings.Contains(param, ";") {
		return false
	}
	for piece := range strings.SplitSeq(param, ";") {
		if name, _, _ := strings.Cut(piece, "="); nameOf(name) == p.Limit.Param {
			return true
		}
	}
	return false
}

// nameOf returns a parameter's decoded name, or the name as sent if its encoding is broken.
func nameOf(escaped string) string {
	if name, err := url.QueryUnescape(escaped); err == nil {
		return name
	}
	return escaped
}

// positive reads decimal digits. It accepts any number of them and caps the result.
func positive(escaped string) (int, error) {
	text, err := url.QueryUnescape(escaped)
	if err != nil || text == "" || strings.Trim(text, "0123456789") != "" {
		return 0, ErrLimit
	}
	if text = strings.TrimLeft(text, "0"); len(text) > 9 {
		return 1e9, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, ErrLimit // it was zero
	}
	return n, nil
}

// following returns raw with another cursor.
func (p *Pages) following(raw, cursor string) string {
	var params []string
	for param := range strings.SplitSeq(raw, "&") {
		if name, _, _ := strings.Cut(param, "="); param != "" && nameOf(name) != p.Cursor {
			params = append(params, param)
		}
	}
	params = append(params, url.QueryEscape(p.Cursor)+"="+url.QueryEscape(cursor))
	return strings.Join(params, "&")
}
