package pools

import (
	"fmt"
	"os"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/upstream"
)

// upstreamConfig returns the settings of an upstream in the words of package upstream.
func upstreamConfig(name string, u *config.Upstream) (upstream.Config, error) {
	made := upstream.Config{
		Name: name, Balance: upstream.Balance(u.Balance), Protocol: upstream.Protocol(u.Protocol), PreserveHost: u.PreserveHost,
		Limits:   upstream.Limits{Min: u.Pool.Min, Max: u.Pool.Max, IdleTimeout: u.Pool.IdleTimeout, Wait: u.Pool.Wait, Upgraded: u.Pool.Upgraded},
		Timeouts: upstream.Timeouts{Connect: u.Timeouts.Connect, FirstByte: u.Timeouts.FirstByte, Idle: u.Timeouts.Idle, Total: u.Timeouts.Total},
		TLS:      upstream.TLS{ServerName: u.TLS.ServerName, InsecureSkipVerify: u.TLS.InsecureSkipVerify},
		HashOn:   hashOn(u.HashOn),
	}
	for _, t := range u.Targets {
		made.Targets = append(made.Targets, upstream.Target{URL: t.URL.String(), Weight: t.Weight})
	}
	if u.TLS.CA != "" {
		pem, err := os.ReadFile(u.TLS.CA)
		if err != nil {
			return made, fmt.Errorf("upstreams.%s.tls.ca: %w", name, err)
		}
		made.TLS.CA = pem
	}
	return made, nil
}

// hashOn returns the source of an upstream's hash in the words of package upstream.
func hashOn(h config.HashOn) string {
	if h.Name == "" {
		return string(h.Source)
	}
	return string(h.Source) + ":" + h.Name
}
