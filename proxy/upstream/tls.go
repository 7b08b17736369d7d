package upstream

import (
	"crypto/tls"
	"crypto/x509"
)

// tlsConfig secures the connections to host.
func (c Config) tlsConfig(host string) *tls.Config {
	config := &tls.Config{
		ServerName:         c.TLS.ServerName,
		InsecureSkipVerify: c.TLS.InsecureSkipVerify, // #nosec G402 -- the configuration asks for it in so many words
		MinVersion:         tls.VersionTLS12,
		ClientSessionCache: tls.NewLRUClientSessionCache(0),
		NextProtos:         alpn(c.Protocol),
	}
	if config.ServerName == "" {
		config.ServerName = host
	}
	if len(c.TLS.CA) > 0 {
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM(c.TLS.CA)
	}
	return config
}

func alpn(p Protocol) []string {
	switch p {
	case ProtocolH2:
		return []string{"h2"}
	case ProtocolAuto:
		return []string{"h2", "http/1.1"}
	default:
		return []string{"http/1.1"}
	}
}
