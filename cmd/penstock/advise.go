package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/penstock/penstock/proxy"
)

const adviseTimeout = 10 * time.Second

// runAdvise asks a running gateway what could be configured better.
func runAdvise(ctx context.Context, c *call) error {
	fs := c.flags("advise")
	asJSON := fs.Bool("json", false, "print JSON")
	var gate door
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
	var answer proxy.Advice
	if err := json.Unmarshal(text, &answer); err != nil {
		return fmt.Errorf("the gateway at %s: what it says is no advice", gate.where())
	}
	if *asJSON {
		_, err := c.stdout.Write(text)
		return err
	}
	return printAdvice(c.stdout, &answer)
}

// printAdvice prints what to do, why, and what to paste.
func printAdvice(w io.Writer, a *proxy.Advice) error {
	var b strings.Builder
	fmt.Fprintf(&b, "by %d requests in %s:\n", a.Requests, span(a.Since))
	if len(a.Advice) == 0 {
		b.WriteString("\nnothing to say: too little was seen, or nothing stands out\n")
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
