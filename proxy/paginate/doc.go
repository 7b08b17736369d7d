// Package paginate makes the pages of a list easy on clients and upstreams: one limit for what is asked for in many ways, a link to the page that
// follows (RFC 8288), found in the content, and the pages after it fetched before they are asked for.
package paginate
