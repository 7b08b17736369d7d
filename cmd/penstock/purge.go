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
)

const (
	tokenVariable = "PENSTOCK_ADMIN_TOKEN"
	// purgeTimeout is for the answer of a gateway, beyond what it is asked to wait for the other instances.
	purgeTimeout = 10 * time.Second
	maxAnswer    = 1 << 20
)

// errNoToken is for a gateway that has a token which was not given.
const errNoToken = usageError("the gateway asks for its admin token: give it as " + tokenVariable + ", or name its configuration with --config")

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

// purgeAnswer is what comes back.
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

// list is a flag that may be given several times.
type list []string

// String is the flag's value for its help.
func (l *list) String() string { return strings.Join(*l, " ") }

// Set adds a value.
func (l *list) Set(s string) error {
	*l = append(*l, s)
	return nil
}

// runPurge asks a running gateway to purge, and prints one line about it.
func runPurge(ctx context.Context, c *call) error {
	var ask purgeCall
	fs := c.flags("purge")
	fs.Var(&ask.URL, "url", "purge all that is stored of this URL, whatever its scheme; repeat it for several, as all that name something")
	fs.Var(&ask.Prefix, "prefix", "purge all paths that begin so: /a/ or example.com/a/")
	fs.Var(&ask.Tag, "tag", "purge all that carries this tag")
	fs.Var(&ask.Host, "host", "purge all of this host")
	fs.Var(&ask.Route, "route", "purge all that this route has stored")
	fs.BoolVar(&ask.All, "all", false, "purge everything")
	fs.BoolVar(&ask.Soft, "soft", false, "let it go stale instead of removing it, so that it is served on while it is fetched anew")
	fs.BoolVar(&ask.DryRun, "dry-run", false, "only count what the memory of the instance asked holds of it")
	wait := fs.Duration("wait", 2*time.Second, "how long to wait until all instances have applied it")
	var gate door
	gate.flags(fs)
	if err := c.parse(fs); err != nil {
		return err
	}
	if *wait <= 0 {
		return usageError("--wait must be more than nothing")
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

// report prints what was done, or returns what was not.
func (a *purgeAnswer) report(w io.Writer, status int, ask *purgeCall) error {
	switch status {
	case http.StatusOK:
	case http.StatusAccepted:
		return fmt.Errorf("%d of %d instances have not said within %s that they have applied the purge: %s; they do so as soon as they are connected to Redis again",
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
		_, err := fmt.Fprintf(w, "%s would hit %d responses of %d objects, %d bytes; %s\n", what, a.Responses, a.Objects, a.Bytes, a.Note)
		return err
	}
	how := "purged"
	if ask.Soft {
		how = "softly purged"
	}
	_, err := fmt.Fprintf(w, "%s %s: applied by %d of %d instances in %.1f ms, epoch %s\n", how, what, a.Applied, a.Instances, a.Took, a.Epoch)
	return err
}

// said is whatever the gateway has to say of a failure.
func (a *purgeAnswer) said() []string {
	switch {
	case len(a.Errors) > 0:
		return a.Errors
	case a.Hint != "":
		return []string{a.Status, a.Hint}
	case a.Status != "":
		return []string{a.Status}
	}
	return []string{"the answer is not that of a gateway's admin listener"}
}

// door is the way to a gateway's admin listener.
type door struct {
	admin, token, config string

	url  *url.URL // of the listener
	dial string   // where to connect to, as in admin.address
}

func (d *door) flags(fs *flag.FlagSet) {
	fs.StringVar(&d.admin, "admin", "", "the admin listener, as in http://127.0.0.1:9901 or unix:/path (default: that of --config)")
	fs.StringVar(&d.token, "token", "", "its token; better given as "+tokenVariable+", which others don't see (default: that of --config)")
	fs.StringVar(&d.config, "config", defaultConfig, "the configuration of the gateway")
}

// find fills in what no flag says.
func (d *door) find(env lookup) error {
	if d.token == "" {
		d.token, _ = env(tokenVariable)
	}
	if d.admin != "" {
		return d.parse()
	}
	r, err := source{d.config, env}.read()
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

func (d *door) parse() error {
	if strings.HasPrefix(d.admin, "unix:/") {
		d.dial, d.url = d.admin, &url.URL{Scheme: "http", Host: "localhost"}
		return nil
	}
	u, err := url.Parse(d.admin)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return usageError(fmt.Sprintf("--admin %q is no address such as http://127.0.0.1:9901 or unix:/run/penstock.sock", d.admin))
	}
	d.url = &url.URL{Scheme: u.Scheme, Host: u.Host}
	return nil
}

// transport connects to the address of the configuration where that, and no URL, is known.
func (d *door) transport() *http.Transport {
	t := &http.Transport{}
	if d.dial != "" {
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			network, addr := adminNetwork(d.dial)
			return new(net.Dialer).DialContext(ctx, network, reachable(addr))
		}
	}
	return t
}

// purge sends the request. An answer that is none of a gateway is left empty.
func (d *door) purge(ctx context.Context, ask *purgeCall) (status int, answer *purgeAnswer, err error) {
	answer = new(purgeAnswer)
	status, text, err := d.post(ctx, "purge", ask)
	if err == nil && json.Unmarshal(text, answer) != nil && status/100 == 2 {
		err = fmt.Errorf("the gateway at %s: what it says is not an answer to a purge", d.where())
	}
	return status, answer, err
}

// post sends ask to a path of the admin API, and returns what comes back.
func (d *door) post(ctx context.Context, path string, ask any) (status int, text []byte, err error) {
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

// send sends a request of the admin API, and reads no more than most bytes of the answer.
func (d *door) send(req *http.Request, most int64) (status int, text []byte, err error) {
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

func (d *door) where() string {
	if d.dial != "" {
		return d.dial
	}
	return d.url.String()
}
