package fleet

import (
	"slices"
	"sync"
	"time"
)

// Load makes rate requests a second for a given time, at even intervals, whether or not earlier
// ones have been answered. It returns the responses in the order of the requests. ask gets the
// number of the request.
func Load(rate int, length time.Duration, ask func(n int) Answer) []Answer {
	answers := make([]Answer, int(length.Seconds()*float64(rate)))
	var wg sync.WaitGroup
	began := time.Now()
	for n := range answers {
		time.Sleep(time.Until(began.Add(time.Duration(n) * time.Second / time.Duration(rate))))
		wg.Go(func() { answers[n] = ask(n) })
	}
	wg.Wait()
	return answers
}

// Herd makes n requests at once. ask gets the number of the request.
func Herd(n int, ask func(n int) Answer) []Answer {
	answers := make([]Answer, n)
	var wg sync.WaitGroup
	start := make(chan struct{})
	for n := range answers {
		wg.Go(func() {
			<-start
			answers[n] = ask(n)
		})
	}
	close(start)
	wg.Wait()
	return answers
}

// Times returns the durations of the requests, the shortest first.
func Times(answers []Answer) []time.Duration {
	times := make([]time.Duration, len(answers))
	for n, a := range answers {
		times[n] = a.Took
	}
	slices.Sort(times)
	return times
}

// Quantile returns the value below which the given share of the sorted times lies.
func Quantile(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}
