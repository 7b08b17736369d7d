package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"

	"github.com/penstock/penstock/config"
)

// certificates are those of one listener. They are replaced as a whole when the files change.
type certificates struct {
	files   []config.Certificate
	log     *slog.Logger
	current atomic.Pointer[[]tls.Certificate]
	refused string // why the files were not taken when last looked at, "" if they were
}

// readCertificates reads all pairs. Every pair that is wrong is in the error.
func readCertificates(files []config.Certificate) ([]tls.Certificate, error) {
	var all []tls.Certificate
	var errs []error
	for _, f := range files {
		pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			errs = append(errs, fmt.Errorf("certificate %s with key %s: %w", f.Cert, f.Key, err))
			continue
		}
		all = append(all, pair)
	}
	return all, errors.Join(errs...)
}

func newCertificates(files []config.Certificate, log *slog.Logger) (*certificates, error) {
	all, err := readCertificates(files)
	if err != nil {
		return nil, err
	}
	c := &certificates{files: files, log: log}
	c.current.Store(&all)
	return c, nil
}

// paths are the files to watch.
func (c *certificates) paths() []string {
	var out []string
	for _, f := range c.files {
		out = append(out, f.Cert, f.Key)
	}
	return out
}

// reread takes the files' present content if it is another. While one file of a pair is new and the other old they do not
// fit, and the old pair stays until the next change. A mistake is told once: the watcher speaks for every file of the
// directory, and the log may be one of them.
func (c *certificates) reread() {
	all, err := readCertificates(c.files)
	if err != nil {
		if c.refused != err.Error() {
			c.refused = err.Error()
			c.log.Error("certificates not reread, the old ones stay in use", "error", err)
		}
		return
	}
	c.refused = ""
	if slices.EqualFunc(all, *c.current.Load(), sameCertificate) {
		return
	}
	c.current.Store(&all)
	for _, pair := range all {
		c.log.Info("certificate read", "subject", pair.Leaf.Subject.String(), "names", pair.Leaf.DNSNames, "until", pair.Leaf.NotAfter)
	}
}

func sameCertificate(a, b tls.Certificate) bool {
	return slices.EqualFunc(a.Certificate, b.Certificate, slices.Equal[[]byte])
}

// choose picks the first certificate that the client can use for the name it asked for, else the first of all.
func (c *certificates) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	all := *c.current.Load()
	for i := range all {
		if hello.SupportsCertificate(&all[i]) == nil {
			return &all[i], nil
		}
	}
	return &all[0], nil
}

func (c *certificates) tlsConfig() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.choose}
}
