// Check runs a fleet with real Redis servers, spoils it at random, and says which promises of deploy/README.md were broken.
//
//	go run ./test/fleet/cmd/check -for 10m -redis single|sentinel|cluster -seed N
//
// It prints the faults as they end, and at last the number of operations, faults and violations, and of each rule the first violations with the history around them. The
// exit code is 1 if there are any. The seed settles what is drawn, not when things happen: a run with the same seed is alike, not the same.
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"time"

	"github.com/penstock/penstock/test/fleet"
	"github.com/penstock/penstock/test/fleet/check"
	"github.com/penstock/penstock/test/fleet/cmd/outside"
)

func main() {
	var o check.Options
	flag.DurationVar(&o.For, "for", time.Minute, "how long the fleet is spoilt")
	flag.StringVar(&o.Redis, "redis", "single", "single, sentinel or cluster")
	flag.Uint64Var(&o.Seed, "seed", uint64(time.Now().UnixNano()%1e6), "what is drawn")
	flag.IntVar(&o.Instances, "instances", 4, "how many instances run")
	flag.IntVar(&o.Clients, "clients", 6, "how many clients ask")
	flag.IntVar(&o.Tags, "tags", 200, "how many tags some responses have before the one by which they are purged")
	flag.StringVar(&o.Policy, "policy", "volatile-lfu", "maxmemory-policy of Redis")
	flag.DurationVar(&o.MaxCutOff, "max-cut-off", 5*time.Second, "cache.redis.max_cut_off; 0 leaves the key out, for programs that do not know it")
	binary := flag.String("binary", "", "the gateway; left out, it is built")
	show := flag.Int("show", 3, "how many violations of each rule are shown")
	flag.Func("only", "a regular expression of the faults that are injected, as they are printed; left out: all", func(s string) (err error) {
		o.Only, err = regexp.Compile(s)
		return err
	})
	flag.Parse()
	tb := outside.New("check")
	ok := run(tb, &o, *binary, *show)
	tb.End()
	if !ok {
		os.Exit(1)
	}
}

func run(tb *outside.TB, o *check.Options, binary string, show int) bool {
	gateway, err := fleet.At(binary), error(nil)
	if binary == "" {
		if gateway, err = fleet.Build(tb.TempDir()); err != nil {
			tb.Fatal(err)
		}
	}
	o.Log = func(format string, args ...any) { fmt.Printf(format+"\n", args...) }
	fmt.Printf("seed %d, Redis %s with %s\n", o.Seed, o.Redis, o.Policy)
	h, err := check.Run(tb, gateway, *o)
	if h == nil {
		tb.Fatal(err)
	}
	violations := check.Violations(h)
	fmt.Printf("\nseed %d, Redis %s: %s; %d violations\n", o.Seed, o.Redis, h.Summary(), len(violations))
	report(h, violations, show)
	if err != nil {
		fmt.Println(err)
	}
	return len(violations) == 0 && err == nil
}

// report shows the first violations of each rule, and counts all.
func report(h *check.History, violations []check.Violation, show int) {
	shown := map[check.Rule]int{}
	for _, v := range violations {
		if shown[v.Rule]++; shown[v.Rule] <= show {
			fmt.Println(h.Explain(v))
		}
	}
	for rule, n := range shown {
		fmt.Printf("%6d  %s\n", n, rule)
	}
}
