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
)

// explainTimeout is for the answer of a gateway, and of the origin that it may ask.
const explainTimeout = 90 * time.Second

// explainFlags are what penstock explain is asked.
type explainFlags struct {
	gate       door
	live, json bool
	ask        proxy.ExplainRequest
	header     list
	response   string
	status     int
	says       list
}

// runExplain says what becomes of a request: by a configuration alone, or by a gateway that runs.
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

// parse reads flags and operands in any order: -H comes behind the URL, as with curl.
func (f *explainFlags) parse(c *call) error {
	fs := c.flags("explain")
	fs.BoolVar(&f.live, "live", false, "ask the running gateway, which knows what is stored")
	fs.BoolVar(&f.json, "json", false, "print JSON")
	fs.BoolVar(&f.ask.Fetch, "fetch", false, "ask the origin what it answers; nothing of it is stored")
	fs.Var(&f.header, "H", "a field of the request, as in 'Accept: text/html'; repeat it for several")
	fs.StringVar(&f.ask.From, "from", "", "the IP address that the request comes from (default: loopback)")
	fs.StringVar(&f.response, "response", "", "the head of the origin's response, as in $'HTTP/1.1 200 OK\\nCache-Control: max-age=60'")
	fs.IntVar(&f.status, "status", 0, "the status of the origin's response")
	fs.Var(&f.says, "response-header", "a field of the origin's response; repeat it for several")
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

// operands parses flags wherever they stand.
func (f *explainFlags) operands(c *call, fs *flag.FlagSet) (operands []string, err error) {
	flags := *c
	for {
		// parse wants as many operands as it is told; what it says of those is not meant here.
		if err := flags.parse(fs); err != nil && fs.NArg() == 0 {
			return nil, err
		}
		if fs.NArg() == 0 {
			return operands, nil
		}
		operands, flags.args = append(operands, fs.Arg(0)), fs.Args()[1:]
	}
}

// given is the response that the flags describe; nil: none.
func (f *explainFlags) given() (*proxy.ExplainResponse, error) {
	if f.response == "" && f.status == 0 && len(f.says) == 0 {
		return nil, nil
	}
	r := &proxy.ExplainResponse{}
	for line := range strings.Lines(f.response) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case line == "":
		case strings.HasPrefix(line, "HTTP/"):
			_, rest, _ := strings.Cut(line, " ")
			code, _, _ := strings.Cut(rest, " ")
			status, err := strconv.Atoi(code)
			if err != nil {
				return nil, usageError(fmt.Sprintf("--response: %q is no status line such as HTTP/1.1 200 OK", line))
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

// offline makes a gateway of the configuration, which listens nowhere, and asks that.
func (f *explainFlags) offline(ctx context.Context, env lookup) (*proxy.Explanation, error) {
	r, err := source{f.gate.config, env}.read()
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

// online asks a gateway that runs.
func (f *explainFlags) online(ctx context.Context, env lookup) (*proxy.Explanation, error) {
	if err := f.gate.find(env); err != nil {
		return nil, err
	}
	status, text, err := f.gate.post(ctx, "explain", &f.ask)
	if err != nil {
		return nil, err
	}
	if status == http.StatusOK {
		e := new(proxy.Explanation)
		if err := json.Unmarshal(text, e); err != nil {
			return nil, fmt.Errorf("the gateway at %s: what it says is no explanation", f.gate.where())
		}
		return e, nil
	}
	return nil, f.gate.refusal(status, text)
}

// refusal is what a gateway's admin listener says instead of an answer.
func (d *door) refusal(status int, text []byte) error {
	var said purgeAnswer
	_ = json.Unmarshal(text, &said) // what is no answer of a gateway says nothing
	switch status {
	case http.StatusBadRequest:
		return usageError(strings.Join(said.said(), "; "))
	case http.StatusUnauthorized:
		return errNoToken
	}
	return fmt.Errorf("%s (%d %s)", strings.Join(said.said(), "; "), status, http.StatusText(status))
}
