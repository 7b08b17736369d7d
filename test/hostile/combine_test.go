package hostile

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// combined has an answer of two parts, of which the second needs a field of the first; a list read through a batch; and pages.
const combined = `  - name: whole
    match: {path: "/whole/{id}", methods: [GET]}
    cache: {enabled: true}
    aggregate:
      parts:
        first: {upstream: origin, path: "/first/{id}?id={id}", max_body: 64KiB}
        next: {upstream: origin, path: "/next/{first.next}/end?next={first.next}", on_error: null}
  - name: item
    match: {path: "/item/{id}", methods: [GET]}
    cache: {enabled: true}
    batch: {upstream: origin, path: "/items?ids={ids}", key: id}
  - {name: all, match: {path: "/*"}, upstream: origin, cache: {enabled: true}}`

// TestR10_JSON: what is too deep, too long, or no JSON is an error of its part, and so is a value that is there twice where it is looked for. What the
// grammar allows passes as it came, what common writers get wrong becomes what readers make of it, and exact numbers stay exact.
func TestR10_JSON(t *testing.T) {
	t.Parallel()
	refused := map[string]string{
		"deep": strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000), "deep-object": strings.Repeat(`{"a":`, 2000) + "1" + strings.Repeat("}", 2000),
		"string": `"` + strings.Repeat("x", 70<<10) + `"`, "two": `{}{}`, "comment": `{/*x*/}`, "octal": `{"next":010}`, "open": `{"next":1`, "words": `{"next":Nan}`,
	}
	passed := map[string][2]string{ // the part, and what becomes of it
		"surrogate": {`{"next":"\ud800"}`, `{"next":"\ud800"}`}, "half": {`{"next":"\udc00x"}`, `{"next":"\udc00x"}`},
		"twice": {`{"next":1,"next":2}`, `{"next":1,"next":2}`}, "twice-escaped": {`{"next":1,"nex\u0074":2}`, `{"next":1,"nex\u0074":2}`},
		"twice-within": {`{"next":1,"a":[{"b":1,"b":2}]}`, `{"next":1,"a":[{"b":1,"b":2}]}`}, "bom": {"\ufeff{}", `{}`}, "nan": {`{"next":NaN}`, `{"next":null}`},
		"infinity": {`{"next":-Infinity}`, `{"next":null}`}, "utf8": {"{\"next\":\"\xff\"}", `{"next":"` + "\ufffd" + `"}`},
		"control": {"{\"a\":\"\x01\"}", `{"a":"\u0001"}`}, "empty": {"", `null`},
	}
	o := serve(t, func(c *call) {
		name, _, _ := strings.Cut(strings.TrimPrefix(c.target(), "/first/"), "?")
		body, ok := refused[name]
		if of, passes := passed[name]; passes {
			body, ok = of[0], true
		}
		if ok {
			c.ok("Content-Type: application/json\r\nCache-Control: max-age=60\r\n", body)
			return
		}
		c.ok("Content-Type: application/json\r\nCache-Control: max-age=60\r\n", `{"next":12345678901234567890.10,"big":1e4000,"minus":-0.0}`)
	})
	g := start(t, o, combined)
	for name := range refused {
		if a := g.get("/whole/"+name, ""); a.status != 502 || !strings.Contains(a.body, "part first") {
			t.Errorf("%s: %d %.200s", name, a.status, a.body)
		}
	}
	for name, of := range passed {
		a := g.get("/whole/"+name, "")
		if a.status != 200 || !strings.Contains(a.body, `{"first":`+of[1]+`,`) {
			t.Errorf("%s: %d %.200s", name, a.status, a.body)
		}
		if ambiguous := name == "twice" || name == "twice-escaped" || name == "half" || name == "surrogate"; ambiguous && !strings.HasSuffix(a.body, `"next":null}`) {
			t.Errorf("%s: a value was chosen that readers differ in: %s", name, a.body)
		}
	}
	a := g.get("/whole/exact", "")
	if a.status != 200 || !strings.Contains(a.body, `{"next":12345678901234567890.10,"big":1e4000,"minus":-0.0}`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	if want := "/next/12345678901234567890.10/end?next=12345678901234567890.10"; !strings.Contains(strings.Join(o.targets(), " "), want) {
		t.Errorf("a number changed on its way into a URL: %q", o.targets())
	}
	nothingLeft(t, g)
}

// TestR10_HugePart: a part of 100 MB is refused by its limit, announced or not, and takes no such memory.
func TestR10_HugePart(t *testing.T) {
	t.Parallel()
	o := serve(t, func(c *call) {
		head := "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: max-age=60\r\n"
		if strings.Contains(c.target(), "announced") {
			c.send(head + "Content-Length: 104857600\r\n\r\n\"")
		} else {
			c.send(head + "Transfer-Encoding: chunked\r\n\r\n1\r\n\"\r\n")
		}
		piece := strings.Repeat("x", 64<<10)
		for range 1600 {
			var err error
			if strings.Contains(c.target(), "announced") {
				_, err = io.WriteString(c.conn, piece)
			} else {
				_, err = fmt.Fprintf(c.conn, "%x\r\n%s\r\n", len(piece), piece)
			}
			if err != nil {
				return
			}
		}
	})
	g := start(t, o, combined)
	for _, id := range []string{"announced", "chunked"} {
		if a := g.get("/whole/"+id, ""); a.status != 502 || !strings.Contains(a.body, "part first") {
			t.Errorf("%s: %d %.200s", id, a.status, a.body)
		}
	}
}

// TestR16_Values: what stands in another's answer, or in the client's path, gets into a URL as one segment or one parameter, or not at all.
func TestR16_Values(t *testing.T) {
	t.Parallel()
	values := map[string]string{ // of JSON, and the target that may be asked for; "": none
		`"../admin"`: "", `".."`: "", `"."`: "", `"%2e%2e"`: "", `"%252e%252e/x"`: "", `"..\\x"`: "", `"..;a=b"`: "", `""`: "", `null`: "", `{}`: "", `[1]`: "", `"a\r\nX-Evil: 1"`: "", `"a\u0000"`: "",
		`"a/b"`: "/next/a%2Fb/end?next=a%2Fb", `"a?b#c"`: "/next/a%3Fb%23c/end?next=a%3Fb%23c", `"a&x=1"`: "/next/a&x=1/end?next=a%26x%3D1", `"http://x/"`: "/next/http:%2F%2Fx%2F/end?next=http%3A%2F%2Fx%2F",
		`"%41"`: "/next/%2541/end?next=%2541", `"@evil.example:80"`: "/next/@evil.example:80/end?next=%40evil.example%3A80", `true`: "/next/true/end?next=true", `"//"`: "/next/%2F%2F/end?next=%2F%2F",
	}
	var names []string
	for v := range values {
		names = append(names, v)
	}
	o := serve(t, func(c *call) {
		var n int
		if _, err := fmt.Sscanf(c.target(), "/first/v%d", &n); err == nil {
			c.ok("Content-Type: application/json\r\nCache-Control: max-age=60\r\n", `{"next":`+names[n]+`}`)
			return
		}
		c.ok("Content-Type: application/json\r\nCache-Control: max-age=60\r\n", `{"ok":1}`)
	})
	g := start(t, o, combined)
	for n, v := range names {
		before := len(o.targets())
		a := g.get(fmt.Sprintf("/whole/v%d", n), "")
		asked := o.targets()[before:]
		switch want := values[v]; {
		case a.status != 200:
			t.Errorf("%s: %d %s", v, a.status, a.body)
		case want == "" && (len(asked) != 1 || !strings.Contains(a.body, `"next":null`)):
			t.Errorf("%s: asked for %q, got %s", v, asked, a.body)
		case want != "" && (len(asked) != 2 || asked[1] != "GET "+want):
			t.Errorf("%s: asked for %q, not %s", v, asked, want)
		}
	}
	for _, target := range []string{"/whole/a%2Fb", "/whole/a%3Fb", "/whole/a%23b", "/whole/a%26id=2", "/item/1%2C2", "/item/a%26b", "/item/%2e%2e%2f"} {
		g.get(target, "")
	}
	for _, asked := range o.targets() {
		_, target, _ := strings.Cut(asked, " ")
		path, query, _ := strings.Cut(target, "?")
		if strings.Contains(path, "..") || strings.Count(target, "?") > 1 || strings.Contains(query, "&") || strings.Contains(target, "#") || strings.HasPrefix(target, "/items") && strings.Contains(query, ",") {
			t.Errorf("asked for %s", target)
		}
	}
	o.mustNotHave("X-Evil")
}

// TestR16_Redirect: a part that is answered with a redirect is an error; nobody follows it.
func TestR16_Redirect(t *testing.T) {
	t.Parallel()
	inside := echo(t)
	o := serve(t, func(c *call) {
		c.send("HTTP/1.1 302 Found\r\nLocation: http://" + inside.addr() + "/secret\r\nContent-Length: 0\r\n\r\n")
	})
	g := start(t, o, combined)
	for _, target := range []string{"/whole/7", "/item/7"} {
		if a := g.get(target, ""); a.status != 502 || a.header.Get("Location") != "" {
			t.Errorf("%s: %d %v", target, a.status, a.header)
		}
	}
	if len(inside.seen()) > 0 {
		t.Error("a redirect was followed")
	}
}

// TestR16_AbsoluteForm: the authority of the request's target is not where parts are asked for.
func TestR16_AbsoluteForm(t *testing.T) {
	t.Parallel()
	inside := echo(t)
	o := serve(t, func(c *call) {
		c.ok("Content-Type: application/json\r\n", `{"next":"http://`+inside.addr()+`/"}`)
	})
	g := start(t, o, combined)
	g.raw("GET http://" + inside.addr() + "/whole/7 HTTP/1.1\r\nHost: " + inside.addr() + "\r\nX-Forwarded-Host: " + inside.addr() + "\r\n\r\n")
	if len(inside.seen()) > 0 {
		t.Error("the client chose who is asked")
	}
}
