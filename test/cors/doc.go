// Package cors has pages of several origins use a gateway in a real browser, whose judgement of the
// CORS protocol is the one that counts.
package cors
