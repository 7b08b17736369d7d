package shared

import (
	"net"
	"strings"
	"testing"
)

func TestParseURL(t *testing.T) {
	for raw, want := range map[string]string{
		"redis://127.0.0.1:6379":                       "redis://127.0.0.1:6379",
		"redis://h":                                    "redis://h:6379",
		"redis://h/3":                                  "redis://h:6379/3",
		"redis://h/":                                   "redis://h:6379",
		"redis://:secret@h:1":                          "redis://h:1",
		"redis://u:s%40%2F%3A,ecret@h:1/2":             "redis://h:1/2",
		"redis://[::1]:7":                              "redis://[::1]:7",
		"redis://[::1]":                                "redis://[::1]:6379",
		"rediss://u:p@h:1":                             "rediss://h:1",
		"redis+sentinel://u:p@a:1,b,c:3/m":             "redis+sentinel://a:1,b:26379,c:3/m",
		"redis+sentinel://a:1/m/4?sentinel_password=x": "redis+sentinel://a:1/m/4",
		"rediss+sentinel://a/m?sentinel_username=y":    "rediss+sentinel://a:26379/m",
		"redis+cluster://u:p@a:1,b:2":                  "redis+cluster://a:1,b:2",
		"rediss+cluster://a,b/0":                       "rediss+cluster://a:6379,b:6379",
	} {
		got, err := parseURL(raw)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		if got.String() != want {
			t.Errorf("%s: %s, want %s", raw, got, want)
		}
	}
	u, err := parseURL("redis+sentinel://u:s%40%2F%3A,ecret@a/m?sentinel_username=su&sentinel_password=sp")
	if err != nil || u.user != "u" || u.password != "s@/:,ecret" || u.sentinelUser != "su" || u.sentinelPassword != "sp" || u.master != "m" {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestParseURLRefuses(t *testing.T) {
	for _, raw := range []string{
		"", "h:1", "http://secret@h", "redis:/h", "redis://", "redis://secret@", "redis://h:0", "redis://h:99999", "redis://h:x", "redis://h/x", "redis://h/1/2",
		"redis://a,b", "redis://h?db=secret", "redis://h#secret", "redis://u:%zzsecret@h", "redis://h h", "redis+sentinel://a:1", "redis+sentinel://a:1/", "redis+sentinel://a/m/x",
		"redis+cluster://a/1", "redis+cluster://a,,b", "redis://h?ca=secret", "rediss://h?ca=/nonexistent/file", "redis://[::1:7", "redis://h?sentinel_password=secret",
		"redis://:secret/x@h", "redis://u:1/secret@h:1", "redis://u:secret?x@h", "redis://u:1?secret@h", "redis://u:1#secret@h", "redis://u:x@a/secret@h:1",
		"redis+sentinel://u:secret/x@a/m",
	} {
		_, err := parseURL(raw)
		if err == nil {
			t.Errorf("%s: no error", raw)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error tells a secret: %v", raw, err)
		}
		if (CheckURL(raw) == nil) != (err == nil) {
			t.Errorf("%s: CheckURL and parseURL differ", raw)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	f.Add("redis+sentinel://u:p@a:1,b:2/m/0?sentinel_password=x")
	f.Add("redis://[::1]:1/2")
	f.Fuzz(func(t *testing.T, raw string) {
		if strings.Contains(raw, "ca=") {
			return // would read a file
		}
		u, err := parseURL(raw)
		if err != nil {
			return
		}
		for _, addr := range u.addrs {
			if _, _, err := net.SplitHostPort(addr); err != nil {
				t.Errorf("%q: %v", raw, err)
			}
		}
		if len(u.addrs) == 0 || u.kind == sentinel && u.master == "" || u.kind == cluster && u.db != 0 {
			t.Errorf("%q: %+v", raw, u)
		}
	})
}

func TestDialRefuses(t *testing.T) {
	for _, c := range []Config{{URL: "h:1"}, {URL: "redis://h", Prefix: "a{b"}, {URL: "redis://h", Prefix: "a b"}, {URL: "redis://h", Prefix: strings.Repeat("x", 65)}} {
		if client, err := Dial(c); err == nil {
			t.Errorf("%+v: no error", c)
			_ = client.Close()
		}
	}
}
