package config

import (
	"slices"
	"strings"
)

// HeaderPart is a piece of the value of a header rule: fixed text, or the name of a placeholder.
type HeaderPart struct {
	Text string
	Name string // "": the piece is Text
}

// requestFacts lists the placeholders of header values other than the captures of match.path.
var requestFacts = []string{"host", "uri", "path", "query", "method", "scheme", "client_ip", "request_id", "route"}

// HeaderParts splits the value of a header rule into its pieces. {name} is a placeholder; {{ and }}
// stand for single braces. Parse has refused the values for which this fails.
func HeaderParts(value string) []HeaderPart {
	parts, _ := headerParts(value)
	return parts
}

func headerParts(value string) ([]HeaderPart, *problem) {
	var parts []HeaderPart
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			parts = append(parts, HeaderPart{Text: text.String()})
			text.Reset()
		}
	}
	for rest := value; rest != ""; {
		switch i := strings.IndexAny(rest, "{}"); {
		case i < 0:
			text.WriteString(rest)
			rest = ""
		case strings.HasPrefix(rest[i:], "{{") || strings.HasPrefix(rest[i:], "}}"):
			text.WriteString(rest[:i+1])
			rest = rest[i+2:]
		case rest[i] == '}':
			return nil, problemf("} has no opening {").or("write }} for a brace")
		default:
			name, after, closed := strings.Cut(rest[i+1:], "}")
			if !closed || name != "*" && !factName(name) {
				return nil, problemf("{%s is not a placeholder", clip(name)).or("such as {client_ip}; {{ and }} stand for braces")
			}
			text.WriteString(rest[:i])
			flush()
			parts, rest = append(parts, HeaderPart{Name: name}), after
		}
	}
	flush()
	return parts, nil
}

// factName reports whether s has the form of a placeholder's name.
func factName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '.' || c == '-')
	})
}

// headers checks the placeholders of a route's header rules.
func (k checker) headers(r *Route, n *node) {
	at := n.get("headers")
	if !k.whole(n.get("match")) || at == nil {
		return
	}
	for _, side := range []struct {
		key string
		ops FieldOps
		no  func(name string) *problem
	}{
		{"request", r.Headers.Request, r.unkeyedRequestFact},
		{"response", r.Headers.Response, r.unkeyedResponseFact},
	} {
		for _, list := range []struct {
			key    string
			fields map[string]string
		}{{"set", side.ops.Set}, {"add", side.ops.Add}} {
			fields := at.get(side.key).get(list.key)
			if fields == nil {
				continue
			}
			for _, f := range fields.fields {
				if k.sound(f.value) {
					k.placeholders(r, list.fields[canonicalField(f.key.text)], f.value, side.no)
				}
			}
		}
	}
}

// placeholders refuses the unknown placeholders of a value, and the ones for which `no` returns a
// problem.
func (k checker) placeholders(r *Route, value string, at *node, no func(string) *problem) {
	for _, part := range HeaderParts(value) {
		if part.Name == "" {
			continue
		}
		p := r.unknownFact(part.Name)
		if p == nil {
			p = no(part.Name)
		}
		if p != nil {
			k.at(at, p)
			return
		}
	}
}

// captured returns the names that the route's path captures, including *.
func (r *Route) captured() []string {
	parts, _ := parsePattern(r.Match.Path)
	var names []string
	for _, s := range parts {
		if s.param != "" {
			names = append(names, s.param)
		}
	}
	return names
}

// unknownFact returns a problem if a placeholder has no value on this route, or two.
func (r *Route) unknownFact(name string) *problem {
	captured, fact := slices.Contains(r.captured(), name), slices.Contains(requestFacts, name)
	switch {
	case captured && fact:
		return problemf("{%s} is both a part of match.path and a built-in placeholder", name).or("give the part of match.path another name")
	case captured || fact:
		return nil
	case name == "auth.subject":
		return problemf("{auth.subject} is not supported by this version")
	}
	known := "{" + strings.Join(requestFacts, "}, {") + "}"
	if names := r.captured(); len(names) > 0 {
		known += ", and of match.path {" + strings.Join(names, "}, {") + "}"
	}
	p := problemf("there is no placeholder {%s}", clip(name))
	if near := nearest(name, append(r.captured(), requestFacts...)); near != "" {
		return p.or("did you mean {%s}? Known here: %s; {{ and }} stand for braces", near, known)
	}
	return p.or("known here: %s; {{ and }} stand for braces", known)
}

// unkeyedRequestFact returns a problem if a placeholder would send the origin a value that can
// change its answer, although requests with different values share that answer. A shared answer
// must depend on its key only.
func (r *Route) unkeyedRequestFact(name string) *problem {
	perClient := name == "client_ip" || name == "request_id"
	switch {
	case perClient && r.Writes.Policy == WriteBehind:
		return problemf("with writes.policy: behind the gateway sends a write after its request has ended, so {%s} has no value", name).or("leave the field out")
	case r.Cache.Enabled && name == "client_ip":
		return problemf("{client_ip} differs from client to client, and this route's cache would give one client's answer to all clients").
			or("the origin gets the address in X-Forwarded-For; if it must see this field, write cache: {enabled: false}, or give these requests a route of their own")
	case r.Cache.Enabled && name == "request_id":
		return problemf("{request_id} differs from request to request, and this route's cache would give one request's answer to all requests").
			or("write cache: {enabled: false}, or give these requests a route of their own")
	case r.Aggregate != nil && (perClient || name != "host" && name != "scheme" && name != "route"):
		return problemf("{%s} is not in the keys of the parts' cached answers, so one client would get another client's answer", clip(name)).
			or("use {host}, {scheme} or {route}, or put the value into the part's path")
	case r.Batch != nil && (perClient || name != "host" && name != "scheme" && name != "route"):
		return problemf("one call fetches the ids of many requests, which differ in {%s}", clip(name)).or("use {host}, {scheme} or {route}")
	}
	return nil
}

// unkeyedResponseFact returns a problem if a placeholder would put a value of one request into a
// stored response.
func (r *Route) unkeyedResponseFact(name string) *problem {
	if !r.Cache.Enabled {
		return nil
	}
	switch name {
	case "client_ip", "request_id":
		return problemf("{%s} would be stored with the response, and other clients would get it", name).or("write cache: {enabled: false}, or leave the field out")
	case "method":
		return problemf("{method} would be stored with the response, which HEAD and GET share").or("leave the field out")
	}
	return nil
}
