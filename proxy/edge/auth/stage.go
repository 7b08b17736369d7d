package auth

import (
	"net/http"
	"net/textproto"
	"strings"

	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/observe"
)

// Rules say which requests are let in.
type Rules struct {
	// Methods are the methods of which one must let a request in, or all of them if All is set.
	Methods []Method
	All     bool
	// Forward leaves the fields of credentials in requests to the upstream.
	Forward bool
	// Private is true if no connection may answer hits of the route: its stored responses depend on
	// the credential, or it stores none.
	Private bool
}

const stageName = "auth"

// TakeOff returns the stage that takes credentials off requests. It comes after all stages that may
// read a credential, such as a rate limit by the field of an API key. The cache judges a request by
// the Credential in its Event, so that taking off the field changes no decision.
func TakeOff(rules *Rules) edge.Stage {
	return edge.Stage{
		Name: stageName + ".take_off",
		Wrap: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				rules.takeOff(r.Header)
				if query := rules.publicQuery(r.URL.RawQuery); query != r.URL.RawQuery {
					observe.FromContext(r.Context()).RawTarget = "" // no index may remember a target with a credential
					r = edge.WithQuery(r, query)
				}
				next.ServeHTTP(w, r)
			})
		},
		OnHit: edge.Indifferent(), // a stored response has no part of a credential in its key
		Explain: func(at *edge.Located, _ *edge.Explanation) {
			at.Query = rules.publicQuery(at.Query)
			for i := range rules.Methods {
				if f := rules.Methods[i].Field; f != "" && !rules.Forward {
					at.Dropped = append(at.Dropped, f)
				}
			}
		},
	}
}

// Stage returns the stage that refuses requests that no method lets in: with 401, or with 403 if a
// method knows the client and the client lacks a right.
func Stage(rules *Rules) edge.Stage {
	s := edge.Stage{
		Name: stageName,
		Wrap: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { rules.pass(w, r, next) })
		},
		OnHit:   edge.Check(rules.lets),
		Explain: rules.explain,
		Hides:   rules.param(),
	}
	if rules.Private {
		s.OnHit = edge.Never()
	}
	return s
}

// lets reports whether a request is let in. It decides as judge does, and allocates nothing.
func (u *Rules) lets(at *edge.Located) bool {
	for i := range u.Methods {
		if u.Methods[i].Judge.Lets(at) != u.All {
			return !u.All
		}
	}
	return u.All
}

// outcome is the decision about a request.
type outcome struct {
	reason     Reason // "" if the request is let in
	credential string
	by         string // for operators: the method, and the owner of the credential
	challenges []string
}

// judge decides about a request.
func (u *Rules) judge(at *edge.Located) (out outcome) {
	var let outcome
	for i := range u.Methods {
		m := &u.Methods[i]
		v := m.Judge.Verdict(at)
		if v.Reason == "" {
			let.add(m, &v)
			if !u.All {
				return let
			}
			continue
		}
		if out.reason == "" || v.Reason.weight() > out.reason.weight() {
			out.reason, out.by = v.Reason, m.Name
		}
		if v.Challenge == "" {
			v.Challenge = m.Challenge
		}
		out.challenges = append(out.challenges, v.Challenge)
	}
	if out.reason == "" {
		return let
	}
	return out
}

// add adds a verdict by which m lets the request in. The parts of credential have fixed lengths, so
// that two lists of them never agree by chance.
func (out *outcome) add(m *Method, v *Verdict) {
	out.credential += v.Credential
	if out.by != "" {
		out.by += " and "
	}
	out.by += m.Name
	if v.Subject != "" {
		out.by += " (" + shown(v.Subject) + ")"
	}
}

// shown returns a subject, which a provider has chosen, in a form that fits into one line.
func shown(s string) string {
	const most = 64
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '·'
		}
		return r
	}, s)
}

// pass lets r in, or answers it.
func (u *Rules) pass(w http.ResponseWriter, r *http.Request, next http.Handler) {
	ev := observe.FromContext(r.Context())
	out := u.judge(&edge.Located{
		Method: r.Method, Scheme: ev.Scheme, Client: ev.ClientIP, Host: r.Host, Query: r.URL.RawQuery, Fields: edge.HeaderFields(r.Header),
	})
	if out.reason != "" {
		if out.reason == KeysUnavailable {
			w.Header()["Retry-After"] = []string{"10"}
		} else {
			w.Header()["Www-Authenticate"] = out.challenges
		}
		edge.Refuse(w, r, stageName, string(out.reason), out.status(), reasonTexts[out.reason])
		return
	}
	ev.Credential = out.credential
	next.ServeHTTP(w, r)
}

func (out *outcome) status() int {
	switch {
	case out.reason.forbids():
		return http.StatusForbidden
	case out.reason == KeysUnavailable:
		return http.StatusServiceUnavailable // the token may be good: its client must not throw it away
	}
	return http.StatusUnauthorized
}

// takeOff removes the fields of credentials from the header of a request. It removes their aliases
// with underscores in any case, because CGI and WSGI spell both alike, and no method has judged them.
func (u *Rules) takeOff(h http.Header) {
	for i := range u.Methods {
		field := u.Methods[i].Field
		if field == "" {
			continue
		}
		if !u.Forward {
			delete(h, field)
		}
		for name := range h {
			if strings.Contains(name, "_") && textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(name, "_", "-")) == field {
				delete(h, name)
			}
		}
	}
}

// param returns the query parameter that carries a credential, or "".
func (u *Rules) param() string {
	for i := range u.Methods {
		if p := u.Methods[i].Param; p != "" {
			return p
		}
	}
	return ""
}

// publicQuery returns a query without credentials. They are taken off even if the route forwards
// credentials, because the query is part of keys, logs and the origin's URLs.
func (u *Rules) publicQuery(query string) string {
	if name := u.param(); name != "" {
		return edge.WithoutParam(query, name)
	}
	return query
}

// explain says whether the stage would let a request in, and by which credential. It reveals none.
func (u *Rules) explain(at *edge.Located, e *edge.Explanation) {
	out := u.judge(at)
	if out.reason != "" {
		e.Refuse(out.status(), reasonTexts[out.reason])
		e.Refused.Why = string(out.reason) + " for " + out.by + "; the route takes " + u.accepted()
		return
	}
	at.Credential = out.credential
	e.Notes = append(e.Notes, stageName+": "+out.by+" lets the request in")
}

// accepted names the places in which the route takes credentials.
func (u *Rules) accepted() string {
	var out []string
	for i := range u.Methods {
		var in []string
		if m := &u.Methods[i]; m.Field != "" {
			in = append(in, "the field "+m.Field)
		}
		if m := &u.Methods[i]; m.Param != "" {
			in = append(in, "the query parameter "+m.Param)
		}
		out = append(out, u.Methods[i].Name+" in "+strings.Join(in, " or "))
	}
	return strings.Join(out, ", ")
}
