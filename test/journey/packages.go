package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const module = "github.com/penstock/penstock/"

// pkg is a package of the product.
type pkg struct {
	ImportPath, Dir                              string
	GoFiles, IgnoredGoFiles, EmbedFiles, Imports []string

	path string // from the root
}

// product lists the packages that the gateway is built from.
func product(ctx context.Context, root string) ([]*pkg, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-json=ImportPath,Dir,GoFiles,IgnoredGoFiles,EmbedFiles,Imports", "./cmd/penstock")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list the packages: %w", explained(err))
	}
	var pkgs []*pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(pkg)
		if err := d.Decode(p); err == io.EOF {
			return pkgs, nil
		} else if err != nil {
			return nil, err
		}
		if rel, ours := strings.CutPrefix(p.ImportPath, module); ours {
			p.path = filepath.FromSlash(rel)
			pkgs = append(pkgs, p)
		}
	}
}

// files is the number of product files, those for other systems among them.
func (p *pkg) files() int {
	return len(p.GoFiles) + len(slices.DeleteFunc(slices.Clone(p.IgnoredGoFiles), func(f string) bool { return strings.HasSuffix(f, "_test.go") }))
}

// ours is the number of our packages that p imports.
func (p *pkg) ours() int {
	n := 0
	for _, i := range p.Imports {
		if strings.HasPrefix(i, module) {
			n++
		}
	}
	return n
}

// explained adds what a command has printed to its error.
func explained(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	return err
}
