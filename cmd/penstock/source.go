package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/penstock/penstock/config"
)

// defaultConfig is the file that is read where none is named.
const defaultConfig = "gateway.yaml"

// maxSource bounds each file that configuration is read from; it is text written by people.
const maxSource = 16 << 20

// source is where a configuration comes from.
type source struct {
	path string
	env  lookup
}

// reading is one look at a source. It also stands for a look that found mistakes; config is nil then.
type reading struct {
	config *config.Config
	files  []string // the file itself, then every file that it takes a value from
	sum    digest
}

// digest is over the content of all files of a reading; zero when the first of them cannot be read.
type digest [sha256.Size]byte

// read reads and checks the configuration. It returns what it saw with an error too, so that the same mistakes need not be
// looked at twice.
func (s source) read() (*reading, error) {
	r := &reading{files: []string{s.path}}
	text, err := readFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, usageError(fmt.Sprintf("there is no configuration at %s: name one with --config FILE, or see penstock demo, which needs none", s.path))
	}
	if err != nil {
		return r, usageError(fmt.Sprintf("the configuration cannot be read: %v", err))
	}
	hash := sha256.New()
	hash.Write(text)
	r.config, err = config.Parse(s.path, text, s.env, func(name string) ([]byte, error) {
		content, err := readFile(name)
		r.files = append(r.files, name)
		hash.Write(content)
		return content, err
	})
	hash.Sum(r.sum[:0])
	return r, err
}

// changed tells whether any of the files now has another content than when it was read.
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
	content, err := io.ReadAll(io.LimitReader(f, maxSource+1))
	if err == nil && len(content) > maxSource {
		err = fmt.Errorf("%s is larger than %d MiB", name, maxSource>>20)
	}
	return content, err
}
