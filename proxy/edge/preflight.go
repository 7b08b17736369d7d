package edge

import (
	"net/http"
	"slices"
	"strings"

	"github.com/penstock/penstock/proxy/observe"
)

// Preflight returns the method of the request that a browser announces by r, and reports whether r
// is a CORS preflight: an OPTIONS with Origin and Access-Control-Request-Method. The method is "" if
// r names several.
func Preflight(r *http.Request) (method string, is bool) {
	return preflight(r.Method, HeaderFields(r.Header))
}

func preflight(method string, f Fields) (asked string, is bool) {
	if method != http.MethodOptions {
		return "", false
	}
	_, origins := f.Line("Origin")
	asked, methods := f.Line(fieldAskMethod)
	return asked, origins > 0 && methods > 0
}

// The reasons for which a preflight is refused.
const (
	corsOrigin = "origin" // no entry of origins allows it
	corsMethod = "method" // methods does not list it
	corsHeader = "header" // headers does not list one of them
)

// corsDetails are the contents of the refusals.
var corsDetails = map[string]string{
	corsOrigin: "pages of this origin may not use this resource",
	corsMethod: "pages of other origins may not use this method here",
	corsHeader: "pages of other origins may not send these fields here",
}

// refuses returns the reason for which a preflight with these fields is refused, or "". A browser
// sends each of the fields in one line, and the method in the case in which it will use it.
func (c *CORS) refuses(f Fields) (reason string) {
	origin, lines := f.Line("Origin")
	if lines != 1 || !c.allows(origin) {
		return corsOrigin
	}
	if method, lines := f.Line(fieldAskMethod); lines != 1 || !c.methods[method] {
		return corsMethod
	}
	names, lines := f.Line(fieldAskHeaders)
	if lines > 1 {
		return corsHeader
	}
	for name := range strings.SplitSeq(names, ",") {
		if name = strings.Trim(name, " \t"); name != "" && !c.headers[strings.ToLower(name)] {
			return corsHeader
		}
	}
	return ""
}

const corsStage = "cors"

// CORSStage returns the stage that answers preflights. No later stage, cache or upstream sees them:
// they have no credentials, and ask about the gateway's rules alone.
//
// A preflight that is allowed gets 204 with the allowing fields. For the browser to go on, the
// standard requires both these fields and a status of 200 to 299. Any other answer makes it refuse,
// so a refused preflight gets 403 without the fields. The status tells people why, and lets
// metrics count the refusal.
//
// The stage does nothing with other requests. [CORS.Decorate] sets the fields of their responses,
// and on connections the cache does.
func CORSStage(c *CORS) Stage {
	return Stage{
		Name: corsStage, OnHit: Indifferent(),
		Wrap: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if _, is := Preflight(r); !is {
					next.ServeHTTP(w, r)
					return
				}
				if reason := c.refuses(HeaderFields(r.Header)); reason != "" {
					refuse(w, r, corsStage, reason, http.StatusForbidden, corsDetails[reason])
					return
				}
				c.permit(w.Header(), r.Header)
				observe.FromContext(r.Context()).Status = http.StatusNoContent
				w.WriteHeader(http.StatusNoContent)
			})
		},
		Explain: func(at *Located, e *Explanation) {
			if _, is := preflight(at.Method, at.Fields); is {
				c.explainPreflight(at, e)
				return
			}
			g := c.Grant(at.Fields)
			e.CORS = &CORSAnswer{Fields: g.lines()}
			switch origin, lines := at.Fields.Line("Origin"); {
			case c.any:
				e.CORS.Why = "pages of all origins may read the response"
			case g.value != "":
				e.CORS.Why = "pages of " + origin + " may read the response"
			case lines == 0:
				e.CORS.Why = "the request has no Origin, so the response is not meant for a page of another origin"
			default:
				e.CORS.Why = "no entry of cors.origins allows the request's Origin, so browsers keep the response from its pages"
			}
		},
	}
}

// permit sets the fields of the response to an allowed preflight.
func (c *CORS) permit(response, request http.Header) {
	g := c.Grant(HeaderFields(request))
	response[fieldAllowOrigin] = []string{g.value}
	for name, values := range map[string][]string{
		fieldPrefix + "Allow-Methods": c.allowMethods, fieldPrefix + "Allow-Headers": c.allowHeaders, fieldPrefix + "Max-Age": c.maxAge,
	} {
		if values != nil {
			response[name] = values
		}
	}
	if c.credentials {
		response[fieldCredentials] = []string{"true"}
	}
}

// preflightVary returns the Vary of the response to a preflight.
func (c *CORS) preflightVary() string {
	if c.any {
		return fieldAskMethod + ", " + fieldAskHeaders
	}
	return "Origin, " + fieldAskMethod + ", " + fieldAskHeaders
}

// explainPreflight says what the stage answers to a preflight.
func (c *CORS) explainPreflight(at *Located, e *Explanation) {
	if reason := c.refuses(at.Fields); reason != "" {
		e.Refuse(http.StatusForbidden, corsDetails[reason])
		e.Refused.Why = map[string]string{
			corsOrigin: "no entry of cors.origins allows the preflight's Origin",
			corsMethod: "cors.methods does not list its " + fieldAskMethod,
			corsHeader: "cors.headers does not list each name in its " + fieldAskHeaders,
		}[reason]
		e.CORS = &CORSAnswer{Fields: []string{"Vary: " + c.preflightVary()}}
		return
	}
	e.Refused = &Refusal{Status: http.StatusNoContent, Why: "the gateway answers preflights itself, and allows this one"}
	h, request := make(http.Header), make(http.Header)
	request["Origin"] = []string{""}
	request["Origin"][0], _ = at.Fields.Line("Origin")
	c.permit(h, request)
	e.CORS = new(CORSAnswer)
	for name, values := range h {
		e.CORS.Fields = append(e.CORS.Fields, name+": "+values[0])
	}
	slices.Sort(e.CORS.Fields)
	e.CORS.Fields = append(e.CORS.Fields, "Vary: "+c.preflightVary())
}

// CORSAnswer says which fields of the CORS protocol a response has, and why.
type CORSAnswer struct {
	Fields []string // lines
	Why    string   // "" if the refusal says it
}

// Decorate returns a handler that sets the fields of the CORS protocol in each response of next. It
// stands in front of all stages, so that pages can also read their refusals, and gives preflights
// their Vary.
func (c *CORS) Decorate(next http.Handler) http.Handler {
	if c == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, is := Preflight(r); is {
			w.Header()["Vary"] = []string{c.preflightVary()}
			next.ServeHTTP(w, r)
			return
		}
		d := &decorated{ResponseWriter: w, grant: c.Grant(HeaderFields(r.Header))}
		defer d.decorate() // a response without content, or that of a panic
		next.ServeHTTP(d, r)
	})
}

// decorated is a ResponseWriter that sets the fields of the CORS protocol just before the header
// section is sent.
type decorated struct {
	http.ResponseWriter
	grant CORSGrant
	done  bool
}

func (d *decorated) decorate() {
	if !d.done {
		d.done = true
		d.grant.set(d.Header())
	}
}

// WriteHeader implements http.ResponseWriter. Interim responses get no fields: browsers heed those
// of the final one alone (https://fetch.spec.whatwg.org/#cors-check).
func (d *decorated) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		d.decorate()
	} else if !d.done {
		RemoveCORSFields(d.Header())
	}
	d.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (d *decorated) Write(b []byte) (int, error) {
	d.decorate()
	return d.ResponseWriter.Write(b)
}

// FlushError implements the method that http.ResponseController calls.
func (d *decorated) FlushError() error {
	d.decorate()
	return http.NewResponseController(d.ResponseWriter).Flush()
}

// Unwrap lets http.ResponseController find the other methods.
func (d *decorated) Unwrap() http.ResponseWriter { return d.ResponseWriter }

// unwrapped returns the ResponseWriter of net/http below w. http.MaxBytesReader tells it, and no
// other, to close the connection of a client that sends too much.
func unwrapped(w http.ResponseWriter) http.ResponseWriter {
	for {
		outer, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = outer.Unwrap()
	}
}
