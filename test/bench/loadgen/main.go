// Loadgen is the bench's receiver and load generator in one process, so that both share a clock.
//
// It listens for deliveries, posts events (closed loop, or open loop at a rate), waits until every accepted event has arrived and
// prints one JSON object. It reports its own CPU time: a run in which it used more than 60 % of its core is void.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type options struct {
	listen, url, types         string
	connections, batch, fanOut int
	rate                       float64
	duration, wait             time.Duration
	bodyBytes                  int
	hang                       string
	handshakes, keys           bool
	origins, namespaces        int
}

type result struct {
	Posted          int64   `json:"posted"`
	Accepted        int64   `json:"accepted"`
	Refused         int64   `json:"refused"`
	Received        int64   `json:"received"`
	Seconds         float64 `json:"seconds"`
	DeliveredPerSec float64 `json:"deliveredPerSecond"`
	AcceptP50Ms     float64 `json:"acceptP50Ms"`
	AcceptP99Ms     float64 `json:"acceptP99Ms"`
	ArrivalP50Ms    float64 `json:"arrivalP50Ms"`
	ArrivalP99Ms    float64 `json:"arrivalP99Ms"`
	CPUSeconds      float64 `json:"cpuSeconds"`
	CPUShare        float64 `json:"cpuShare"`
	Missing         int64   `json:"missing"`
}

// Every event's data begins {"n":<sequence>, so arrivals find their post without parsing JSON.
const marker = `"data":{"n":`

type state struct {
	received  atomic.Int64
	lastAt    atomic.Int64
	mu        sync.Mutex
	arrival   []float64 // ms from the 2xx answer (or the post, if it came first) to the arrival
	answered  sync.Map  // sequence -> time.Time of the answer
	recording atomic.Bool
}

func (s *state) deliver(w http.ResponseWriter, r *http.Request) {
	var buffer bytes.Buffer
	_, _ = buffer.ReadFrom(r.Body)
	now := time.Now()
	if s.recording.Load() {
		s.record(buffer.Bytes(), now)
	}
	s.lastAt.Store(now.UnixNano())
	s.received.Add(1)
	w.WriteHeader(http.StatusOK)
}

func (s *state) record(body []byte, now time.Time) {
	at := bytes.Index(body, []byte(marker))
	if at < 0 {
		return
	}
	rest := body[at+len(marker):]
	end := bytes.IndexByte(rest, ',')
	if end < 0 {
		return
	}
	sequence, err := strconv.ParseInt(string(rest[:end]), 10, 64)
	if err != nil {
		return
	}
	var ms float64
	if answered, ok := s.answered.Load(sequence); ok {
		ms = now.Sub(answered.(time.Time)).Seconds() * 1000
	}
	s.mu.Lock()
	s.arrival = append(s.arrival, ms)
	s.mu.Unlock()
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return float64(usage.Utime.Sec+usage.Stime.Sec) + float64(usage.Utime.Usec+usage.Stime.Usec)/1e6
}

func percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sort.Float64s(values)
	return values[min(len(values)-1, int(float64(len(values))*p))]
}

func main() {
	var o options
	flag.StringVar(&o.listen, "listen", "127.0.0.1:0", "receiver's address")
	flag.StringVar(&o.url, "url", "", "where events are posted; empty: receive only until stdin closes")
	flag.StringVar(&o.types, "types", "bench.event", "comma-separated event types, used in turn")
	flag.IntVar(&o.connections, "connections", 64, "posts in flight (closed loop)")
	flag.IntVar(&o.batch, "batch", 1, "events a POST (CloudEvents batch when over 1)")
	flag.IntVar(&o.fanOut, "fan-out", 1, "deliveries expected an event")
	flag.Float64Var(&o.rate, "rate", 0, "posts a second (open loop); 0 = closed loop")
	flag.DurationVar(&o.duration, "duration", 5*time.Second, "how long to post")
	flag.DurationVar(&o.wait, "wait", 20*time.Second, "how long to wait for the last arrival")
	flag.IntVar(&o.bodyBytes, "body", 1024, "bytes of an event's data, about")
	flag.StringVar(&o.hang, "hang", "", "a path prefix that is never answered")
	flag.IntVar(&o.origins, "origins", 1, "receivers on as many loopback addresses, 127.0.0.1, 127.0.0.2, …, all on one port")
	flag.Parse()
	runtime.GOMAXPROCS(1)
	s := &state{}
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if o.hang != "" && strings.HasPrefix(r.URL.Path, o.hang) {
			<-r.Context().Done()
			return
		}
		s.deliver(w, r)
	})}
	go func() { _ = server.Serve(listener) }()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	for i := 1; i < o.origins; i++ {
		another, err := net.Listen("tcp", fmt.Sprintf("127.0.%d.%d:%s", i/250, i%250+1, port))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		go func() { _ = server.Serve(another) }()
	}
	fmt.Printf("{\"listening\":%q}\n", listener.Addr().String())
	commands(s, o)
}

// commands reads one run a line from stdin: {"url":…,"rate":…,"durationMs":…}; an empty object uses the flags. It ends with stdin.
func commands(s *state, base options) {
	decoder := json.NewDecoder(os.Stdin)
	for {
		var command struct {
			URL         string  `json:"url"`
			Types       string  `json:"types"`
			Rate        float64 `json:"rate"`
			DurationMs  int     `json:"durationMs"`
			Connections int     `json:"connections"`
			Batch       int     `json:"batch"`
			FanOut      int     `json:"fanOut"`
			WaitMs      int     `json:"waitMs"`
			Namespaces  int     `json:"namespaces"`
			Handshakes  bool    `json:"handshakes"`
			BodyBytes   int     `json:"bodyBytes"`
			Keys        bool    `json:"keys"`
			Reset       bool    `json:"count"`
		}
		if err := decoder.Decode(&command); err != nil {
			return
		}
		if command.Reset {
			fmt.Printf("{\"received\":%d,\"cpuSeconds\":%f}\n", s.received.Load(), cpuSeconds())
			continue
		}
		o := base
		o.url, o.rate, o.handshakes = command.URL, command.Rate, command.Handshakes
		o.keys = command.Keys
		if command.BodyBytes > 0 {
			o.bodyBytes = command.BodyBytes
		}
		if command.Types != "" {
			o.types = command.Types
		}
		if command.DurationMs > 0 {
			o.duration = time.Duration(command.DurationMs) * time.Millisecond
		}
		if command.WaitMs > 0 {
			o.wait = time.Duration(command.WaitMs) * time.Millisecond
		}
		o.namespaces = max(command.Namespaces, 1)
		o.connections = max(command.Connections, 1)
		o.batch, o.fanOut = max(command.Batch, 1), max(command.FanOut, 1)
		_ = json.NewEncoder(os.Stdout).Encode(run(s, o))
	}
}

func run(s *state, o options) result {
	s.received.Store(0)
	s.answered.Clear()
	s.arrival = s.arrival[:0]
	s.recording.Store(o.rate > 0)
	poster := newPoster(s, o)
	cpu, begin := cpuSeconds(), time.Now()
	if o.handshakes {
		poster.storm()
		used, seconds := cpuSeconds()-cpu, time.Since(begin).Seconds()
		return result{Posted: poster.posted.Load(), Accepted: poster.accepted.Load(), Refused: poster.refused.Load(), Seconds: seconds, CPUSeconds: used, CPUShare: used / seconds}
	}
	if o.rate > 0 {
		poster.open()
	} else {
		poster.closed()
	}
	expected := poster.accepted.Load() * int64(o.fanOut)
	for deadline := time.Now().Add(o.wait); s.received.Load() < expected && time.Now().Before(deadline); {
		time.Sleep(2 * time.Millisecond)
	}
	end := time.Unix(0, s.lastAt.Load())
	if end.Before(begin) {
		end = time.Now()
	}
	s.recording.Store(false)
	seconds, used := end.Sub(begin).Seconds(), cpuSeconds()-cpu
	s.mu.Lock()
	defer s.mu.Unlock()
	poster.mu.Lock()
	defer poster.mu.Unlock()
	received := s.received.Load()
	return result{
		Posted: poster.posted.Load(), Accepted: poster.accepted.Load(), Refused: poster.refused.Load(), Received: received,
		Seconds: seconds, DeliveredPerSec: float64(received) / seconds,
		AcceptP50Ms: percentile(poster.latency, 0.5), AcceptP99Ms: percentile(poster.latency, 0.99),
		ArrivalP50Ms: percentile(s.arrival, 0.5), ArrivalP99Ms: percentile(s.arrival, 0.99),
		CPUSeconds: used, CPUShare: used / seconds, Missing: max(0, expected-received),
	}
}
