package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/penstock/penstock/cmd/penstock/listen"
)

const (
	tokenVariable = "PENSTOCK_ADMIN_TOKEN"
	// purgeTimeout bounds the wait for the gateway's response. The time that the gateway itself
	// waits for the other instances is added to it.
	purgeTimeout = 10 * time.Second
	maxAnswer    = 1 << 20
)

// errNoToken is returned if the gateway requires a token and the request carried no token or a wrong
// one.
const errNoToken = usageError("the gateway requires its admin token: give it as " + tokenVariable + ", or name its configuration with --config")

// purgeCall is the body of POST /purge.
type purgeCall struct {
	URL    list   `json:"url,omitempty"`
	Prefix list   `json:"prefix,omitempty"`
	Tag    list   `json:"tag,omitempty"`
	Host   list   `json:"host,omitempty"`
	Route  list   `json:"route,omitempty"`
	All    bool   `json:"all,omitempty"`
	Soft   bool   `json:"soft,omitempty"`
	DryRun bool   `json:"dry_run,omitempty"`
	Wait   string `json:"wait"`
}

// purgeAnswer is the response to POST /purge.
type purgeAnswer struct {
	Status    string   `json:"status"`
	Errors    []string `json:"errors"`
	Hint      string   `json:"hint"`
	Epoch     string   `json:"epoch"`
	Targets   []string `json:"targets"`
	Instances int      `json:"instances"`
	Applied   int      `json:"applied"`
	Missing   []string `json:"missing"`
	Took      float64  `json:"took_ms"`
	Objects   int      `json:"objects"`
	Responses int      `json:"responses"`
	Bytes     int64    `json:"bytes"`
	Note      string   `json:"note"`
}

// list is a flag that may be repeated.
type list []string

// String returns the values, for the flag's help.
func (l *list) String() string { return strings.Join(*l, " ") }

// Set adds a value.
func (l *list) Set(s string) error {
	*l = append(*l, s)
	return nil
}

// runPurge asks a running gateway to purge, and prints one line with the result.
func runPurge(ctx context.Context, c *call) error {
	var ask purgeCall
	fs := c.flags("purge")
	fs.Var(&ask.URL, "url", "purge the responses stored for this URL, under http and https; may be repeated, like each selector")
	fs.Var(&ask.Prefix, "prefix", "purge all paths with this prefix: /a/ or example.com/a/")
	fs.Var(&ask.Tag, "tag", "purge all responses with this tag")
	fs.Var(&ask.Host, "host", "purge all responses of this host")
	fs.Var(&ask.Route, "route", "purge all responses stored by this route")
	fs.BoolVar(&ask.All, "all", false, "purge everything")
	fs.BoolVar(&ask.Soft, "soft", false, "mark the responses stale instead of removing them, so that they are served while they are revalidated")
	fs.BoolVar(&ask.DryRun, "dry-run", false, "only count the matching responses in the memory of the instance asked")
	wait := fs.Duration("wait", 2*time.Second, "how long to wait for all instances to apply the purge")
	var gate adminClient
	gate.flags(fs)
	if err := c.parse(fs); err != nil {
		return err
	}
	if *wait <= 0 {
		return usageError("--wait must be positive; write, for example, --wait 2s")
	}
	if err := gate.find(c.env); err != nil {
		return err
	}
	ask.Wait = wait.String()
	ctx, cancel := context.WithTimeout(ctx, *wait+purgeTimeout)
	defer cancel()
	status, answer, err := gate.purge(ctx, &ask)
	if err != nil {
		return err
	}
	return answer.report(c.stdout, status, &ask)
}

// report prints the result of the purge, or returns an error that says why it was not done.
func (a *purgeAnswer) report(w io.Writer, status int, ask *purgeCall) error {
	switch status {
	case http.StatusOK:
	case http.StatusAccepted:
		return fmt.Errorf("%d of %d instances did not confirm the purge within %s: %s; each applies it as soon as it is connected to Redis again",
			len(a.Missing), a.Instances, ask.Wait, strings.Join(a.Missing, ", "))
	case http.StatusBadRequest:
		return usageError(strings.Join(a.Errors, "; "))
	case http.StatusUnauthorized:
		return errNoToken
	default:
		return fmt.Errorf("%s (%d %s)", strings.Join(a.said(), "; "), status, http.StatusText(status))
	}
	what := strings.Join(a.Targets, ", ")
	if ask.DryRun {
		_, err := fmt.Fprintf(w, "%s would purge %d responses of %d objects, %d bytes; %s\n", what, a.Responses, a.Objects, a.Bytes, a.Note)
		return err
	}
	how := "purged"
	if ask.Soft {
		how = "softly purged"
	}
	_, err := fmt.Fprintf(w, "%s %s: applied by %d of %d instances in %.1f ms, epoch %s\n", how, what, a.Applied, a.Instances, a.Took, a.Epoch)
	return err
}

// said returns the reasons that the gateway gave for a failure.
func (a *purgeAnswer) said() []string {
	switch {
	case len(a.Errors) > 0:
		return a.Errors
	case a.Hint != "":
		return []string{a.Status, a.Hint}
	case a.Status != "":
		return []string{a.Status}
	}
	return []string{"the response does not come from a gateway's admin listener"}
}

// adminClient is a client of a gateway's admin API.
type adminClient struct {
	admin, token, config string

	url  *url.URL // of the admin listener
	dial string   // the address to connect to, in the form of admin.address
}

func (d *adminClient) flags(fs *flag.FlagSet) {
	fs.StringVar(&d.admin, "admin", "", "the admin listener, as in http://127.0.0.1:9901 or unix:/path (default: from --config)")
	fs.StringVar(&d.token, "token", "", "its token; "+tokenVariable+" is safer, since other users can see arguments (default: from --config)")
	fs.StringVar(&d.config, "config", defaultConfig, "the configuration of the gateway")
}

// find takes the address and the token from the environment and the configuration if no flag gave
// them.
func (d *adminClient) find(env lookup) error {
	if d.token == "" {
		d.token, _ = env(tokenVariable)
	}
	if d.admin != "" {
		return d.parse()
	}
	r, err := source{path: d.config, env: env}.read()
	if err != nil {
		return err
	}
	d.dial = r.config.Admin.Address
	if d.token == "" {
		d.token = r.config.Admin.Token
	}
	d.url = &url.URL{Scheme: "http", Host: "localhost"}
	return nil
}

func (d *adminClient) parse() error {
	if strings.HasPrefix(d.admin, "unix:/") {
		d.dial, d.url = d.admin, &url.URL{Scheme: "http", Host: "localhost"}
		return nil
	}
	u, err := url.Parse(d.admin)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return usageError(fmt.Sprintf("--admin %q is not an address; write one such as http://127.0.0.1:9901 or unix:/run/penstock.sock", d.admin))
	}
	d.url = &url.URL{Scheme: u.Scheme, Host: u.Host}
	return nil
}

// transport connects to the configuration's admin.address, or to the URL if --admin gave one.
func (d *adminClient) transport() *http.Transport {
	t := &http.Transport{}
	if d.dial != "" {
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			network, addr := listen.Network(d.dial)
			return new(net.Dialer).DialContext(ctx, network, reachable(addr))
		}
	}
	return t
}

// purge sends the request. answer is empty if an error response is not a gateway's JSON.
func (d *adminClient) purge(ctx context.Context, ask *purgeCall) (status int, answer *purgeAnswer, err error) {
	answer = new(purgeAnswer)
	status, text, err := d.post(ctx, "purge", ask)
	if err == nil && json.Unmarshal(text, answer) != nil && status/100 == 2 {
		err = fmt.Errorf("the gateway at %s sent a response to the purge that is not JSON", d.where())
	}
	return status, answer, err
}

// post sends ask as JSON to a path of the admin API and returns the response.
func (d *adminClient) post(ctx context.Context, path string, ask any) (status int, text []byte, err error) {
	body, err := json.Marshal(ask)
	if err != nil {
		return 0, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url.JoinPath(path).String(), bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	return d.send(req, maxAnswer)
}

// send sends a request of the admin API and reads at most the given number of bytes of the
// response.
func (d *adminClient) send(req *http.Request, most int64) (status int, text []byte, err error) {
	if d.token != "" {
		req.Header.Set("Authorization", "Bearer "+d.token)
	}
	t := d.transport()
	defer t.CloseIdleConnections()
	resp, err := t.RoundTrip(req)
	if err != nil {
		return 0, nil, fmt.Errorf("the gateway does not answer at %s: %w", d.where(), err)
	}
	defer resp.Body.Close()
	if text, err = io.ReadAll(io.LimitReader(resp.Body, most)); err != nil {
		return 0, nil, fmt.Errorf("the gateway at %s: %w", d.where(), err)
	}
	return resp.StatusCode, text, nil
}

func (d *adminClient) where() string {
	if d.dial != "" {
		return d.dial
	}
	return d.url.String()
}
