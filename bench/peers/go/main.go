// SPDX-License-Identifier: Apache-2.0

// zerolog and zap under load: what load.h is for the programs in C++. The directory of the workloads, as lines of JSON, is the
// first argument; requests and answers are as in load.h.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// item is an event of a workload.
type item struct {
	Container string  `json:"container"`
	Action    string  `json:"action"`
	Dest      *string `json:"dest"`
	Detail    *string `json:"detail"`
	Rule      *uint64 `json:"rule"`
	User      *string `json:"user"`
	Bytes     *uint64 `json:"bytes"`
	DryRun    *bool   `json:"dry_run"`
}

// subject is a logger that is loaded.
type subject interface {
	log(*item)
	finish() error // returns when every line is in the file
}

type request struct {
	load       string
	producers  int
	events     int
	queueBytes int
	path       string
}

type answer struct {
	Caller  float64      `json:"caller_ns"`
	Drained float64      `json:"drained_ns"`
	CPU     float64      `json:"cpu_ns"`
	Latency [][2]float64 `json:"latency_ns"`
}

const openLoopGap = 10 * time.Microsecond

var quantiles = []float64{0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95,
	0.98, 0.99, 0.995, 0.999, 0.9995, 0.9999, 0.99995, 0.99999, 0.999999, 1}

func cpuTime() float64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err)
	}
	return float64(used.Utime.Nano() + used.Stime.Nano())
}

// produce logs a producer's share, and returns how long it was at it and the latencies.
func produce(order request, items []item, producer int, start time.Time, to subject) (time.Duration, []time.Duration) {
	var latencies []time.Duration
	if order.load != "flood" {
		latencies = make([]time.Duration, 0, order.events/order.producers+1)
	}
	begin := time.Now()
	last := begin
	for i := producer; i < order.events; i += order.producers {
		if order.load == "open" {
			last = start.Add(time.Duration(i) * openLoopGap)
			if wait := time.Until(last); order.producers > 1 && wait > 0 {
				time.Sleep(wait)
			}
			for time.Now().Before(last) {
			}
		}
		to.log(&items[i%len(items)])
		if order.load != "flood" {
			end := time.Now()
			latencies = append(latencies, end.Sub(last))
			last = end
		}
	}
	return time.Since(begin), latencies
}

func run(order request, items []item, to subject) (answer, error) {
	var made answer
	var guard sync.Mutex
	var latencies []time.Duration
	var done sync.WaitGroup
	runtime.GC()
	cpuBefore := cpuTime()
	began := time.Now()
	start := began
	if order.load == "open" {
		start = began.Add(time.Millisecond)
	}
	for p := 0; p < order.producers; p++ {
		done.Add(1)
		go func() {
			defer done.Done()
			runtime.LockOSThread()
			busy, times := produce(order, items, p, start, to)
			guard.Lock()
			defer guard.Unlock()
			made.Caller += float64(busy.Nanoseconds()) / float64(order.events)
			latencies = append(latencies, times...)
		}()
	}
	done.Wait()
	if err := to.finish(); err != nil {
		return made, err
	}
	made.Drained = float64(time.Since(began).Nanoseconds())
	made.CPU = cpuTime() - cpuBefore
	made.Latency = [][2]float64{}
	if len(latencies) == 0 {
		return made, nil
	}
	sort.Slice(latencies, func(a, b int) bool { return latencies[a] < latencies[b] })
	for _, quantile := range quantiles {
		at := latencies[int(quantile*float64(len(latencies)-1))]
		made.Latency = append(made.Latency, [2]float64{quantile, float64(at.Nanoseconds())})
	}
	if order.load == "open" {
		var sum time.Duration
		for _, each := range latencies {
			sum += each
		}
		made.Caller = float64(sum.Nanoseconds()) / float64(order.events)
	}
	return made, nil
}

func readItems(path string) ([]item, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var items []item
	for _, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		var read item
		if err := json.Unmarshal([]byte(line), &read); err != nil {
			return nil, err
		}
		items = append(items, read)
	}
	return items, nil
}

func serve(directory string) error {
	makers := map[string]func(request) (subject, error){"zerolog": newZerolog, "zap": newZap, "zap-buffered": newZapBuffered}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		words := strings.SplitN(in.Text(), " ", 7)
		if len(words) != 7 || makers[words[0]] == nil {
			return fmt.Errorf("not a request: %s", in.Text())
		}
		order := request{load: words[1], path: words[6]}
		for i, number := range []*int{&order.producers, &order.events, &order.queueBytes} {
			value, err := strconv.Atoi(words[3+i])
			if err != nil {
				return err
			}
			*number = value
		}
		items, err := readItems(directory + "/" + words[2] + ".jsonl")
		if err != nil {
			return err
		}
		to, err := makers[words[0]](order)
		if err != nil {
			return err
		}
		made, err := run(order, items, to)
		if err != nil {
			return err
		}
		text, err := json.Marshal(made)
		if err != nil {
			return err
		}
		fmt.Println(string(text))
	}
	return in.Err()
}

func main() {
	if err := serve(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
