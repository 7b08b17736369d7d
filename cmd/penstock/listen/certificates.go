package listen

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"

	"github.com/penstock/penstock/config"
)

// Certificates holds the certificates of one listener. They are replaced as a whole when the files
// change.
type Certificates struct {
	files   []config.Certificate
	log     *slog.Logger
	current atomic.Pointer[[]tls.Certificate]
	refused string // the last error in reading the files, "" if the last attempt succeeded
}

// ReadCertificates reads all pairs. The error names every pair that cannot be read.
func ReadCertificates(files []config.Certificate) ([]tls.Certificate, error) {
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

func newCertificates(files []config.Certificate, log *slog.Logger) (*Certificates, error) {
	all, err := ReadCertificates(files)
	if err != nil {
		return nil, err
	}
	c := &Certificates{files: files, log: log}
	c.current.Store(&all)
	return c, nil
}

// Paths returns the files to watch.
func (c *Certificates) Paths() []string {
	var out []string
	for _, f := range c.files {
		out = append(out, f.Cert, f.Key)
	}
	return out
}

// Reread puts the current content of the files in use if it changed. While only one file of a pair
// has been replaced, the two do not match, and the old pair stays in use until the next change.
// reread logs an error once, because the watcher reports changes of any file in the directory, and
// that may include the log itself.
func (c *Certificates) Reread() {
	all, err := ReadCertificates(c.files)
	if err != nil {
		if c.refused != err.Error() {
			c.refused = err.Error()
			c.log.Error("the new certificates cannot be read; the old ones stay in use", "error", err)
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

// choose returns the first certificate that supports the client's hello (server name and
// algorithms), or else the first of all.
func (c *Certificates) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	all := *c.current.Load()
	for i := range all {
		if hello.SupportsCertificate(&all[i]) == nil {
			return &all[i], nil
		}
	}
	return &all[0], nil
}

func (c *Certificates) tlsConfig() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.choose}
}
