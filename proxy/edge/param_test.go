package edge

import "testing"

func TestParam(t *testing.T) {
	for _, c := range []struct {
		query, value string
		count        int
		without      string
	}{
		{"", "", 0, ""}, {"a=1", "", 0, "a=1"}, {"k=1", "1", 1, ""}, {"a=1&k=1&b=%zz", "1", 1, "a=1&b=%zz"}, {"k", "", 1, ""}, {"k=&a", "", 1, "a"},
		{"%6b=a+b%21", "a b!", 1, ""}, {"k=1&x=k&k=2", "2", 2, "x=k"}, {"K=1", "", 0, "K=1"}, {"&&k=1&", "1", 1, "&&"}, {"k=1=2", "1=2", 1, ""}, {"k=%zz", "%zz", 1, ""}, {"kk=1", "", 0, "kk=1"},
	} {
		value, count := Param(c.query, "k")
		if without := WithoutParam(c.query, "k"); value != c.value || count != c.count || without != c.without {
			t.Errorf("%q: %q %d, without it %q", c.query, value, count, without)
		}
	}
}
