package demo

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestDemoMeetsItsClaims runs the demo as `penstock demo --once` does. It checks only one time
// against its claim, the median of the first row: on a machine that runs other tests, a 99th
// percentile is noise.
func TestDemoMeetsItsClaims(t *testing.T) {
	s, err := newStage("test")
	if err != nil {
		t.Fatal(err)
	}
	rows := measureAll(t.Context(), s)
	if len(rows) != len(levers()) {
		t.Errorf("%d rows of %d levers", len(rows), len(levers()))
	}
	for _, r := range rows {
		if !r.Facts {
			t.Errorf("%s: not met: %s\nbefore %+v\nafter  %+v", r.Lever, r.Claim, r.Before, r.After)
		}
	}
	if latency := rows[0]; latency.Before.Median < reportTime || latency.After.Median >= quick {
		t.Errorf("the API that takes 500 ms: %v → %v", latency.Before.Median, latency.After.Median)
	}
	var out bytes.Buffer
	if err := printTable(&out, rows); err != nil {
		t.Fatal(err)
	}
	s.invite(t.Context(), &out)
	t.Logf("\n%s", &out)
	for _, want := range []string{"http://" + s.address, "curl", "Cache-Status: penstock; hit"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q", want)
		}
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}

func TestDemoEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var out bytes.Buffer
	if err := Run(ctx, Options{Out: &out}); err != nil {
		t.Error(err)
	}
	if strings.Contains(out.String(), "CLAIM") {
		t.Errorf("half a table was printed:\n%s", &out)
	}
}

func TestVerdicts(t *testing.T) {
	rows := []Row{{Lever: "good", Claim: "a", Met: true}, {Lever: "bad", Claim: "b"}}
	var out bytes.Buffer
	if err := printTable(&out, rows); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); !strings.Contains(text, "met: a") || !strings.Contains(text, "NOT MET: b") {
		t.Error(text)
	}
	if err := failed(rows); err == nil || !strings.Contains(err.Error(), "1 of 2") {
		t.Error(err)
	}
	if err := failed(rows[:1]); err != nil {
		t.Error(err)
	}
}

func TestQuantile(t *testing.T) {
	for _, c := range []struct {
		values []int
		q      float64
		want   int
	}{
		{nil, 0.5, 0},
		{[]int{7}, 0.99, 7},
		{[]int{3, 1, 2}, 0.5, 2},
		{[]int{4, 3, 2, 1}, 0.5, 2},
		{[]int{1, 2, 3, 4}, 0.99, 4},
	} {
		if got := quantile(c.values, c.q); got != c.want {
			t.Errorf("quantile %v of %v is %d, want %d", c.q, c.values, got, c.want)
		}
	}
}

// TestFilesAreTheSameOnEveryRun checks that hashed names stay the same. Otherwise cached pages
// would name files that no longer exist.
func TestFilesAreTheSameOnEveryRun(t *testing.T) {
	now := time.Now()
	first, second := website(now), website(now)
	for i := range first {
		if first[i].name != second[i].name || !bytes.Equal(first[i].body, second[i].body) {
			t.Errorf("%s differs on the next run", first[i].name)
		}
	}
	for _, big := range []string{"/book.txt", "/catalog.json", "/images/harbour.png"} {
		found := false
		for _, f := range first {
			found = found || (f.name == big && len(f.body) > 100_000)
		}
		if !found {
			t.Errorf("%s is missing or small", big)
		}
	}
}
