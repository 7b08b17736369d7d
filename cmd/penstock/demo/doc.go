// Package demo shows the gateway's main job without anything else installed. It runs sample origins
// and a gateway on loopback, sends traffic, and prints a table of the effect of each lever. Every
// figure is measured on the spot.
//
// It uses the gateway as a user does, through a configuration file's text and HTTP. It must not
// depend on the gateway's internals.
package demo
