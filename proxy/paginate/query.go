package paginate

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
)

// Limit is how many elements a page has.
type Limit struct {
	Param        string // "": there is none
	Default, Max int
}

// ErrLimit is returned for a limit that is no positive number, or more than one.
var ErrLimit = errors.New("the limit of a page is one positive number")

// Query gives raw with its limit in one form: at the end, no more than the most, and there even where it was not asked for. An empty cursor is
// none. So all ways to ask for a page are one.
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

// hidesLimit reports whether a parameter has a limit in it for those who take a semicolon for a separator.
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

// nameOf is a parameter's name; one that is broken is what it is.
func nameOf(escaped string) string {
	if name, err := url.QueryUnescape(escaped); err == nil {
		return name
	}
	return escaped
}

// positive reads digits. However many they are, they are a number.
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

// following is raw with another cursor.
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
