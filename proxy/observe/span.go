package observe

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// emit creates e's span and the spans of its steps. Without a name, the span is named after the
// request: METHOD route.
func (t *Tracer) emit(e *Event, name string, kind trace.SpanKind, attrs []attribute.KeyValue) {
	s := &e.spans
	if name == "" {
		name = methodName(e.Method) + " " + s.at
	}
	ctx := context.Background()
	if s.parent.IsValid() {
		ctx = trace.ContextWithSpanContext(ctx, s.context(s.parent, s.remote))
	}
	options := []trace.SpanStartOption{trace.WithTimestamp(e.Start), trace.WithSpanKind(kind), trace.WithAttributes(attrs...)}
	if links := s.links(); links != nil {
		options = append(options, trace.WithLinks(links...))
	}
	ctx, span := t.tracer.Start(context.WithValue(ctx, idsKey{}, ids{s.trace, s.self}), name, options...)
	for i := range s.steps {
		if s.steps[i].kind != stepLink {
			t.emitStep(ctx, s, &s.steps[i], e.Method)
		}
	}
	if e.Err != nil || e.Status >= 500 {
		text := e.ProxyStatus
		if e.Err != nil {
			text = e.Err.Error()
		}
		span.SetStatus(codes.Error, text)
	}
	span.End(trace.WithTimestamp(e.Start.Add(e.Took)))
}

func (s *spans) links() []trace.Link {
	var out []trace.Link
	if s.link.IsValid() {
		out = append(out, trace.Link{SpanContext: s.link})
	}
	for i := range s.steps {
		if s.steps[i].kind == stepLink {
			out = append(out, trace.Link{SpanContext: s.steps[i].link})
		}
	}
	return out
}

func (t *Tracer) emitStep(ctx context.Context, s *spans, p *step, method string) {
	var attrs []attribute.KeyValue
	name, kind := p.name, trace.SpanKindClient
	switch p.kind {
	case StepUpstream:
		name, attrs = methodName(method), p.upstreamAttributes(method)
	case StepRedis:
		attrs = []attribute.KeyValue{attribute.String("db.system.name", "redis"), attribute.String("db.operation.name", p.name)}
	case StepLeaseWait:
		kind = trace.SpanKindInternal
	}
	_, span := t.tracer.Start(context.WithValue(ctx, idsKey{}, ids{s.trace, p.id}), name,
		trace.WithTimestamp(p.start), trace.WithSpanKind(kind), trace.WithAttributes(attrs...))
	switch {
	case p.err != nil:
		span.SetAttributes(attribute.String("error.type", errorType(p.err)))
		span.SetStatus(codes.Error, p.err.Error())
	case p.status >= 400: // in a client's span, unlike a server's, 4xx is an error too
		span.SetAttributes(attribute.String("error.type", strconv.Itoa(p.status)))
		span.SetStatus(codes.Error, "")
	}
	span.End(trace.WithTimestamp(p.start.Add(p.took)))
}

// errorType returns a word for err from a small set.
func errorType(err error) string {
	if known, ok := err.(interface{ ProxyStatus() string }); ok { // errors of upstreams
		return known.ProxyStatus()
	}
	return "_OTHER"
}

func (p *step) upstreamAttributes(method string) []attribute.KeyValue {
	attrs := append(make([]attribute.KeyValue, 0, 8), attribute.String("http.request.method", methodName(method)))
	if p.url != nil {
		attrs = append(attrs, attribute.String("url.full", redacted(p.url)))
		attrs = appendServer(attrs, p.url.Host, p.url.Scheme)
	}
	if p.resend > 0 {
		attrs = append(attrs, attribute.Int("http.request.resend_count", p.resend))
	}
	if p.status > 0 {
		attrs = append(attrs, attribute.Int("http.response.status_code", p.status))
	}
	return attrs
}

// appendServer appends server.address and server.port for an authority.
func appendServer(attrs []attribute.KeyValue, authority, scheme string) []attribute.KeyValue {
	host, port, err := net.SplitHostPort(authority)
	if err != nil {
		host, port = strings.Trim(authority, "[]"), map[string]string{"http": "80", "https": "443"}[scheme]
	}
	attrs = append(attrs, attribute.String("server.address", host))
	if n, err := strconv.Atoi(port); err == nil {
		attrs = append(attrs, attribute.Int("server.port", n))
	}
	return attrs
}

// requestAttributes returns the attributes of a server span by OpenTelemetry's conventions for
// HTTP, and the cache's decision.
func requestAttributes(e *Event, r *http.Request) []attribute.KeyValue {
	attrs := append(make([]attribute.KeyValue, 0, 32),
		attribute.String("http.request.method", methodName(e.Method)), attribute.String("url.scheme", e.Scheme),
		attribute.String("http.route", e.spans.at), attribute.Int64("http.response.body.size", e.BytesOut),
	)
	attrs = appendServer(attrs, e.Host, e.Scheme)
	if methodName(e.Method) == otherMethod {
		attrs = append(attrs, attribute.String("http.request.method_original", e.Method))
	}
	if e.ClientIP.IsValid() {
		attrs = append(attrs, attribute.String("client.address", e.ClientIP.String()))
	}
	if e.Status > 0 {
		attrs = append(attrs, attribute.Int("http.response.status_code", e.Status))
	}
	if r != nil {
		attrs = append(attrs, attribute.String("url.path", r.URL.EscapedPath()), attribute.String("network.protocol.version", protocolVersion(r)))
		if r.URL.RawQuery != "" {
			attrs = append(attrs, attribute.String("url.query", redactedQuery(r.URL.RawQuery, e.Hidden)))
		}
		if agent := r.Header.Get("User-Agent"); agent != "" {
			attrs = append(attrs, attribute.String("user_agent.original", agent))
		}
	}
	return e.appendOutcome(attrs)
}

func protocolVersion(r *http.Request) string {
	if r.ProtoMajor >= 2 {
		return strconv.Itoa(r.ProtoMajor)
	}
	return strconv.Itoa(r.ProtoMajor) + "." + strconv.Itoa(r.ProtoMinor)
}

// appendOutcome appends the error and the cache's decision.
func (e *Event) appendOutcome(attrs []attribute.KeyValue) []attribute.KeyValue {
	text := func(name, value string) {
		if value != "" && value != "none" {
			attrs = append(attrs, attribute.String(name, value))
		}
	}
	switch {
	case e.ProxyStatus != "":
		text("error.type", e.ProxyStatus)
	case e.Status >= 500:
		text("error.type", strconv.Itoa(e.Status))
	case e.Err != nil:
		text("error.type", "_OTHER")
	}
	text("penstock.route", e.Route)
	text("penstock.cache.status", e.Cache)
	text("penstock.cache.tier", e.Tier)
	text("penstock.cache.reason", e.Reason)
	text("penstock.cache.forward", e.ForwardFor)
	text("penstock.cache.key_hash", e.KeyHash)
	text("penstock.cache.coding", e.Coding)
	text("penstock.refused_by", e.RefusedBy)
	text("penstock.refusal", e.Refusal)
	text("penstock.upstream", e.Upstream)
	if e.Tier != "" {
		attrs = append(attrs, attribute.Float64("penstock.cache.age", e.Age.Seconds()), attribute.Float64("penstock.cache.ttl", e.TTL.Seconds()))
	} else if e.Stored {
		attrs = append(attrs, attribute.Float64("penstock.cache.ttl", e.TTL.Seconds()))
	}
	return append(attrs,
		attribute.Bool("penstock.cache.coalesced", e.Collapsed), attribute.Bool("penstock.cache.stored", e.Stored),
		attribute.Int64("penstock.bytes_in", e.BytesIn), attribute.Int64("penstock.bytes_from_origin", e.BytesFromOrigin),
		attribute.Int64("penstock.bytes_saved", e.BytesSaved),
	)
}

func fillAttributes(e *Event) []attribute.KeyValue {
	attrs := make([]attribute.KeyValue, 0, 24)
	if e.Lease != "" {
		attrs = append(attrs, attribute.String("penstock.cache.lease", e.Lease))
	}
	return e.appendOutcome(attrs)
}

func partAttributes(e *Event) []attribute.KeyValue { return e.appendOutcome(nil) }

const otherMethod = "_OTHER"

// methodName returns the method for span attributes. All unknown methods share one name, so that
// clients can't create names.
func methodName(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "QUERY":
		return method
	}
	return otherMethod
}

// secrets lists the query parameters whose values the conventions require to be hidden.
var secrets = []string{"AWSAccessKeyId", "Signature", "sig", "X-Goog-Signature", "X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token"}

func redactedQuery(query, hidden string) string {
	parts := strings.Split(query, "&")
	for i, part := range parts {
		name, _, _ := strings.Cut(part, "=")
		for _, secret := range secrets {
			if strings.EqualFold(name, secret) {
				parts[i] = name + hiddenValue
			}
		}
		if hidden != "" && isParam(name, hidden) {
			parts[i] = name + hiddenValue
		}
	}
	return strings.Join(parts, "&")
}

const hiddenValue = "=REDACTED"

// HideParam returns a URL with the value of the named query parameter replaced. It returns the URL
// unchanged if name is "".
func HideParam(target, name string) string {
	path, query, ok := strings.Cut(target, "?")
	if name == "" || !ok {
		return target
	}
	parts := strings.Split(query, "&")
	for i, part := range parts {
		if n, _, _ := strings.Cut(part, "="); isParam(n, name) {
			parts[i] = n + hiddenValue
		}
	}
	return path + "?" + strings.Join(parts, "&")
}

// isParam reports whether an origin reads s, which may have escapes, as the name of a parameter.
func isParam(s, name string) bool {
	plain, err := url.QueryUnescape(s)
	return s == name || err == nil && plain == name
}

func redacted(u *url.URL) string {
	shown := *u
	shown.User, shown.RawQuery = nil, redactedQuery(u.RawQuery, "")
	return shown.String()
}
