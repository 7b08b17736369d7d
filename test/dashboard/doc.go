// Package dashboard looks at the admin listener's page in a real browser, as an operator would: with a gateway and load behind it, without any, and
// with the gateway gone; and has an accessibility checker look too.
package dashboard
