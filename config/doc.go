// Package config reads the gateway's configuration. It parses YAML text and returns validated Go
// values.
//
// Parse reports all mistakes of a file at once. Each has the file, line, column and path, and a
// remedy if there is one. The returned Config is complete: Parse fills in every default and merges
// `defaults:` into each route, so a reader of a Config never has to look elsewhere for a value. The
// structs in config.go and config_*.go define the keys of the file. The decoder, the printer and
// the JSON Schema all use them, and their comments are the reference manual.
//
// The package must not know how the values are used. It opens no file, and reads neither
// environment nor clock: the caller passes functions for these. It uses the nodes of
// go.yaml.in/yaml/v4, which carry line and column. No other package knows YAML.
package config
