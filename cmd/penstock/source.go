package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/penstock/penstock/config"
)

// defaultConfig is the file that is read if --config is absent.
const defaultConfig = "gateway.yaml"

// maxSource bounds the size of each file that belongs to a configuration.
const maxSource = 16 << 20

// source says where a configuration is read from.
type source struct {
	path string
	env  lookup
	// stdin is read instead of the file if it is not nil.
	stdin io.Reader
}

// reading is the result of reading a source once. If the configuration had mistakes, config is nil.
type reading struct {
	config *config.Config
	name   string // name of the file in messages
	text   []byte // content of the file
	env    lookup
	// warnings lists the settings that have no effect.
	warnings config.Warnings
	files    []string // the configuration file, then every file that it takes a value from
	sum      digest
}

// digest is a hash of the contents of all files of a reading. It is zero if the configuration file
// cannot be read.
type digest [sha256.Size]byte

// read reads and checks the configuration. It returns the reading even with an error, so that
// changed can tell whether another attempt would give another result.
func (s source) read() (*reading, error) {
	if s.stdin != nil {
		text, err := readAll("standard input", s.stdin)
		return s.parse(&reading{name: "<stdin>"}, text, err)
	}
	text, err := readFile(s.path)
	return s.parse(&reading{name: s.path, files: []string{s.path}}, text, err)
}

// parse completes r from the text of the configuration, or from the error in reading it.
func (s source) parse(r *reading, text []byte, err error) (*reading, error) {
	if errors.Is(err, fs.ErrNotExist) {
		return r, usageError(fmt.Sprintf("there is no configuration at %s: name one with --config FILE, or try penstock demo, which needs none", s.path))
	}
	if err != nil {
		return r, usageError(fmt.Sprintf("the configuration cannot be read: %v", err))
	}
	hash := sha256.New()
	hash.Write(text)
	r.text, r.env = text, s.env
	r.config, r.warnings, err = config.ParseWarn(r.name, text, s.env, func(name string) ([]byte, error) {
		content, err := readFile(name)
		r.files = append(r.files, name)
		hash.Write(content)
		return content, err
	})
	hash.Sum(r.sum[:0])
	return r, err
}

// place adds the line and column to each line of err that begins with the path of a setting, such
// as upstreams.api.tls.ca.
func (r *reading) place(err error) error {
	if err == nil || r.config == nil {
		return err
	}
	placed, rest := config.Locate(r.name, r.text, r.env, readFile, err.Error())
	switch {
	case len(placed) == 0:
		return usageError(r.name + ": " + strings.ReplaceAll(err.Error(), "\n", "\npenstock: "+r.name+": "))
	case len(rest) == 0:
		return placed
	}
	for _, line := range rest {
		placed = append(placed, &config.Error{File: r.name, Line: 1, Column: 1, Message: line})
	}
	return placed
}

// explained returns the reason why the configuration could not be applied. If certificate files
// cannot be used, that is the reason, with the lines that name them. Otherwise it is err, whose
// cause may lie outside the configuration.
func (r *reading) explained(err error) error {
	if files := listenerFiles(r.config); files != nil {
		return r.place(files)
	}
	if placed, rest := config.Locate(r.name, r.text, r.env, readFile, err.Error()); len(placed) > 0 && len(rest) == 0 {
		return placed
	}
	return err
}

// changed reports whether the content of any of the files has changed since they were read.
func (r *reading) changed() bool {
	hash := sha256.New()
	for i, name := range r.files {
		content, err := readFile(name)
		if err != nil && i == 0 {
			return r.sum != digest{}
		}
		hash.Write(content)
	}
	return digest(hash.Sum(nil)) != r.sum
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(name, f)
}

func readAll(name string, from io.Reader) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(from, maxSource+1))
	if err == nil && len(content) > maxSource {
		err = fmt.Errorf("%s is larger than %d MiB", name, maxSource>>20)
	}
	return content, err
}
