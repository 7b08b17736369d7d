// Package demo shows the gateway's main job with nothing else installed: sample origins and a gateway on loopback, traffic
// that it sends itself, and a table of what each lever changed. Every figure is measured when it is printed.
//
// It knows the gateway as a user does, through a configuration file's text and HTTP. It must not reach into its inside.
package demo
