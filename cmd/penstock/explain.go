package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/proxy"
	"github.com/penstock/penstock/proxy/explain"
)

// explainTimeout bounds the wait for the gateway's response. The gateway may have to ask the
// origin.
const explainTimeout = 90 * time.Second

// explainFlags holds the arguments of penstock explain.
type explainFlags struct {
	gate       adminClient
	live, json bool
	ask        explain.Question
	header     list
	response   string
	status     int
	says       list
}

// runExplain implements `penstock explain`: it explains how a request is handled, either from a
// configuration alone or by a running gateway (--live).
func runExplain(ctx context.Context, c *call) error {
	var f explainFlags
	if err := f.parse(c); err != nil {
		return err
	}
	explain := f.offline
	if f.live {
		explain = f.online
	}
	ctx, cancel := context.WithTimeout(ctx, explainTimeout)
	defer cancel()
	e, err := explain(ctx, c.env)
	if err != nil {
		return err
	}
	if f.json {
		enc := json.NewEncoder(c.stdout)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(e)
	}
	return printExplanation(c.stdout, e)
}

// parse reads flags and operands in any order: as with curl, -H may follow the URL.
func (f *explainFlags) parse(c *call) error {
	fs := c.flags("explain")
	fs.BoolVar(&f.live, "live", false, "ask the running gateway, which knows the stored responses")
	fs.BoolVar(&f.json, "json", false, "print JSON")
	fs.BoolVar(&f.ask.Fetch, "fetch", false, "send the request to the origin; its response is not stored")
	fs.Var(&f.header, "H", "a request header field, as in 'Accept: text/html'; may be repeated")
	fs.StringVar(&f.ask.From, "from", "", "the client's IP address (default: loopback)")
	fs.StringVar(&f.response, "response", "", "the head of the origin's response, as in $'HTTP/1.1 200 OK\\nCache-Control: max-age=60'")
	fs.IntVar(&f.status, "status", 0, "the status of the origin's response")
	fs.Var(&f.says, "response-header", "a header field of the origin's response; may be repeated")
	f.gate.flags(fs)
	operands, err := f.operands(c, fs)
	switch {
	case err != nil:
		return err
	case len(operands) == 0:
		return usageError("penstock explain needs a URL, as in penstock explain GET http://example.com/api/users/1")
	case len(operands) > 2:
		return usageError(fmt.Sprintf("penstock explain does not take %q", operands[2]))
	}
	f.ask.Method, f.ask.URL, f.ask.Header = http.MethodGet, operands[len(operands)-1], f.header
	if len(operands) == 2 {
		f.ask.Method = operands[0]
	}
	f.ask.Response, err = f.given()
	return err
}

// operands parses the flags and returns the operands, in any order.
func (f *explainFlags) operands(c *call, fs *flag.FlagSet) (operands []string, err error) {
	flags := *c
	for {
		// parse accepts no operands here, so ignore its error if operands are left.
		if err := flags.parse(fs); err != nil && fs.NArg() == 0 {
			return nil, err
		}
		if fs.NArg() == 0 {
			return operands, nil
		}
		operands, flags.args = append(operands, fs.Arg(0)), fs.Args()[1:]
	}
}

// given returns the response that the flags describe, or nil if no such flag is set.
func (f *explainFlags) given() (*explain.Given, error) {
	if f.response == "" && f.status == 0 && len(f.says) == 0 {
		return nil, nil
	}
	r := &explain.Given{}
	for line := range strings.Lines(f.response) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case line == "":
		case strings.HasPrefix(line, "HTTP/"):
			_, rest, _ := strings.Cut(line, " ")
			code, _, _ := strings.Cut(rest, " ")
			status, err := strconv.Atoi(code)
			if err != nil {
				return nil, usageError(fmt.Sprintf("--response: %q is not a status line; write one such as HTTP/1.1 200 OK", line))
			}
			r.Status = status
		default:
			r.Header = append(r.Header, line)
		}
	}
	if f.status != 0 {
		r.Status = f.status
	}
	r.Header = append(r.Header, f.says...)
	return r, nil
}

// offline builds a gateway from the configuration, without listeners, and asks it.
func (f *explainFlags) offline(ctx context.Context, env lookup) (*explain.Explanation, error) {
	r, err := source{path: f.gate.config, env: env}.read()
	if err != nil {
		return nil, err
	}
	g, err := proxy.NewOffline(r.config, proxy.Options{Log: slog.New(slog.DiscardHandler), Version: versionText()})
	if err != nil {
		return nil, usageError(f.gate.config + ": " + err.Error())
	}
	defer g.Close(context.WithoutCancel(ctx))
	e, err := g.Explain(ctx, f.ask)
	if err != nil {
		return nil, usageError(err.Error())
	}
	return e, nil
}

// online asks a running gateway.
func (f *explainFlags) online(ctx context.Context, env lookup) (*explain.Explanation, error) {
	if err := f.gate.find(env); err != nil {
		return nil, err
	}
	status, text, err := f.gate.post(ctx, "explain", &f.ask)
	if err != nil {
		return nil, err
	}
	if status == http.StatusOK {
		e := new(explain.Explanation)
		if err := json.Unmarshal(text, e); err != nil {
			return nil, fmt.Errorf("the gateway at %s sent a response that is not an explanation in JSON", f.gate.where())
		}
		return e, nil
	}
	return nil, f.gate.refusal(status, text)
}

// refusal turns an error response of the admin listener into an error.
func (d *adminClient) refusal(status int, text []byte) error {
	var said purgeAnswer
	_ = json.Unmarshal(text, &said) // said stays empty if the response is not a gateway's JSON
	switch status {
	case http.StatusBadRequest:
		return usageError(strings.Join(said.said(), "; "))
	case http.StatusUnauthorized:
		return errNoToken
	}
	return fmt.Errorf("%s (%d %s)", strings.Join(said.said(), "; "), status, http.StatusText(status))
}
