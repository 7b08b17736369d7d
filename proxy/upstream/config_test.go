package upstream

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestNewRefuses(t *testing.T) {
	f := func(want string, c Config) {
		t.Helper()
		p, err := New(c)
		if err == nil {
			p.Close()
			t.Errorf("New(%+v) gave no error, want one with %q", c, want)
			return
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
	to := func(urls ...string) []Target {
		var out []Target
		for _, u := range urls {
			out = append(out, Target{URL: u})
		}
		return out
	}
	f("no targets", Config{})
	f("http:// or https://", Config{Targets: to("ftp://a")})
	f("http:// or https://", Config{Targets: to("localhost:80")})
	f("host name", Config{Targets: to("http://")})
	f("host name", Config{Targets: to("http://:80")})
	f("host name", Config{Targets: to("http://bücher.example")})
	f("scheme, host and path alone", Config{Targets: to("http://u:p@a")})
	f("scheme, host and path alone", Config{Targets: to("http://a/?x")})
	f("weight", Config{Targets: []Target{{URL: "http://a", Weight: -1}}})
	f("h2 needs https", Config{Targets: to("http://a"), Protocol: ProtocolH2})
	f("h2c is without TLS", Config{Targets: to("https://a"), Protocol: ProtocolH2C})
	f("balance", Config{Targets: to("http://a"), Balance: "random"})
	f("protocol", Config{Targets: to("http://a"), Protocol: "h3"})
	f("hash_on", Config{Targets: to("http://a"), Balance: BalanceHash})
	f("hash_on", Config{Targets: to("http://a"), Balance: BalanceHash, HashOn: "header:"})
	f("hash_on", Config{Targets: to("http://a"), Balance: BalanceHash, HashOn: "path:x"})
	f("min 3 is more than max 2", Config{Targets: to("http://a"), Limits: Limits{Min: 3, Max: 2}})
	f("negative", Config{Targets: to("http://a"), Timeouts: Timeouts{Idle: -1}})
	f("PEM", Config{Targets: to("https://a"), TLS: TLS{CA: []byte("x")}})
	f("protocol \"h4\"", Config{Protocol: "h4"}) // all at once
	f("no targets", Config{Protocol: "h4"})
}

// Every field counts: one that Equal forgot would be ignored by a reload.
func TestConfigEqual(t *testing.T) {
	base := Config{Targets: []Target{{URL: "http://a"}}}
	if !base.Equal(Config{Targets: []Target{{URL: "http://a"}}}) {
		t.Fatal("equal configurations differ")
	}
	seen := 0
	var vary func(at reflect.Value, path string, c *Config)
	vary = func(at reflect.Value, path string, c *Config) {
		for i := range at.NumField() {
			field, name := at.Field(i), path+at.Type().Field(i).Name
			if field.Kind() == reflect.Struct {
				vary(field, name+".", c)
				continue
			}
			old := reflect.ValueOf(field.Interface())
			switch field.Kind() {
			case reflect.String:
				field.SetString(field.String() + "x")
			case reflect.Int, reflect.Int64:
				field.SetInt(field.Int() + 1)
			case reflect.Bool:
				field.SetBool(!field.Bool())
			case reflect.Slice:
				if field.Type().Elem().Kind() == reflect.Uint8 {
					field.SetBytes([]byte("x"))
				} else {
					field.Set(reflect.ValueOf([]Target{{URL: "http://a", Weight: 2}}))
				}
			default:
				t.Fatalf("%s has a kind that the test does not know", name)
			}
			if c.Equal(base) {
				t.Errorf("Equal takes no notice of %s", name)
			}
			field.Set(old)
			seen++
		}
	}
	changed := base
	vary(reflect.ValueOf(&changed).Elem(), "", &changed)
	if seen < 18 {
		t.Errorf("only %d fields were varied", seen)
	}
}

func TestHashOn(t *testing.T) {
	r, _ := http.NewRequest("GET", "http://x/a%2Fb", nil)
	r.Header.Set("X-User", "ann")
	r.Header.Set("Cookie", "id=7")
	r.RemoteAddr = "[::ffff:192.0.2.1]:99"
	f := func(on, want string) {
		t.Helper()
		h, err := parseHashOn(on)
		if err != nil || h.value(r) != want {
			t.Errorf("%s: %q, %v; want %q", on, h.value(r), err, want)
		}
	}
	f("header:x-user", "ann")
	f("header:X-Other", "")
	f("cookie:id", "7")
	f("cookie:other", "")
	f("path", "/a%2Fb")
	f("client_ip", "192.0.2.1")
}

func TestWithDefaults(t *testing.T) {
	c := Config{}.withDefaults()
	if c.Balance != BalanceP2C || c.Protocol != ProtocolH1 || c.MaxHeaderBytes != DefaultMaxHeaderBytes || c.Limits.IdleTimeout != 90*time.Second {
		t.Errorf("defaults are %+v", c)
	}
}
