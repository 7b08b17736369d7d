package aggregate

import (
	"strings"
	"testing"

	"github.com/penstock/penstock/proxy/rawjson"
)

var document = []byte(`{"name":"` + strings.Repeat("x", 300) + `","list":[` + strings.Repeat(`{"id":12345,"price":1.50},`, 40) + `null],"a":{"b":{"c":true}}}`)

func BenchmarkCheck(b *testing.B) {
	b.SetBytes(int64(len(document)))
	b.ReportAllocs()
	for b.Loop() {
		if err := rawjson.Check(document, 100); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNamespace(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Namespace([]Named{{"user", document}, {"orders", document}, {"payments", document}})
	}
}
