package dotpath

import "testing"

func TestHidden(t *testing.T) {
	for path, want := range map[string]bool{
		"": false, "/": false, "/a/b": false, "/a.b/..c/d..": false, "/...": false, "/a%2Fb": false, "/%2525": false, "/%zz/..x": false,
		"/..": true, "/a/./b": true, "/a/%2e%2E/b": true, "/..%2fx": true, "/%252e%252e/x": true, "/a/..%5Cb": true, "/..;a=b/c": true, "/%2e%3bx": true, "/a%2f..%2fb": true,
	} {
		if got := Hidden(path); got != want {
			t.Errorf("%q: %t", path, got)
		}
	}
}
