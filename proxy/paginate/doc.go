// Package paginate supports lists that are split into pages. It gives all requests for a page the
// same form of the limit, adds a link to the next page (RFC 8288) that it finds in the content, and
// lets the gateway fetch the following pages before clients request them.
package paginate
