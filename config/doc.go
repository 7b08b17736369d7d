// Package config reads the gateway's configuration: YAML text in, checked Go values out.
//
// Parse reports every mistake of a file at once, each with file, line, column, path and, where there is one, the remedy.
// What it returns is complete: every default is filled in and `defaults:` is merged into each route, so a reader of a
// Config never asks where a value came from. The structs in config.go and config_*.go are the one table of what may be written: the decoder,
// the printer and the JSON Schema all walk them, and their comments are the reference manual.
//
// The package must not know what the values are used for. It opens no file, reads no environment and no clock: both come in
// as functions. It builds on go.yaml.in/yaml/v4 for its nodes, which carry line and column; YAML is known here and nowhere else.
package config
