package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/penstock/penstock/proxy/admin"
)

const adviseTimeout = 10 * time.Second

// runAdvise implements `penstock advise`: it asks a running gateway for advice on its
// configuration.
func runAdvise(ctx context.Context, c *call) error {
	fs := c.flags("advise")
	asJSON := fs.Bool("json", false, "print JSON")
	var gate adminClient
	gate.flags(fs)
	if err := c.parse(fs); err != nil {
		return err
	}
	if err := gate.find(c.env); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, adviseTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, gate.url.JoinPath("advice").String(), nil)
	if err != nil {
		return err
	}
	status, text, err := gate.send(req, maxAnswer)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return gate.refusal(status, text)
	}
	var answer admin.Advice
	if err := json.Unmarshal(text, &answer); err != nil {
		return fmt.Errorf("the gateway at %s sent a response that is not advice in JSON", gate.where())
	}
	if *asJSON {
		_, err := c.stdout.Write(text)
		return err
	}
	return printAdvice(c.stdout, &answer)
}

// printAdvice prints each piece of advice with its evidence and the YAML to paste.
func printAdvice(w io.Writer, a *admin.Advice) error {
	var b strings.Builder
	fmt.Fprintf(&b, "from %d requests in %s:\n", a.Requests, span(a.Since))
	if len(a.Advice) == 0 {
		b.WriteString("\nno advice: the gateway saw too few requests, or its configuration fits them\n")
	}
	for i, one := range a.Advice {
		fmt.Fprintf(&b, "\n%d. %s: %s\n", i+1, one.Subject, one.Advice)
		for _, line := range one.Evidence {
			fmt.Fprintf(&b, "   - %s\n", line)
		}
		if one.Caution != "" {
			fmt.Fprintf(&b, "   ! %s\n", one.Caution)
		}
		if one.YAML == "" {
			continue
		}
		fmt.Fprintf(&b, "   %s:\n", one.Where)
		for line := range strings.Lines(one.YAML) {
			b.WriteString("     " + line)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
