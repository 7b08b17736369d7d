// Package std sends requests through net/http, which speaks HTTP/2, and HTTP/1.1 over TLS. It keeps
// the HTTP/2 connections itself, because net/http's own pool shares them badly between clients. It
// makes one attempt at a time and never decides whether another one follows.
package std
