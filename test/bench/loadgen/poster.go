package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// poster writes prepared HTTP/1.1 requests on kept connections: net/http's client would cost more than the system under test.
type poster struct {
	s                         *state
	o                         options
	address, path             string
	secure                    bool
	types                     []string
	filler                    string
	sequence                  atomic.Int64
	posted, accepted, refused atomic.Int64
	mu                        sync.Mutex
	latency                   []float64
}

func newPoster(s *state, o options) *poster {
	target, err := url.Parse(o.url)
	if err != nil {
		panic(err)
	}
	return &poster{s: s, o: o, address: target.Host, secure: target.Scheme == "https", path: target.RequestURI(), types: strings.Split(o.types, ","), filler: strings.Repeat("x", o.bodyBytes)}
}

func (p *poster) body(buffer *bytes.Buffer, sequence int64) string {
	buffer.Reset()
	eventType := p.types[int(sequence)%len(p.types)]
	if p.o.batch == 1 {
		fmt.Fprintf(buffer, `{"type":%q,"data":{"n":%d,"filler":"%s"}}`, eventType, sequence, p.filler)
		return "application/json"
	}
	buffer.WriteByte('[')
	for i := range p.o.batch {
		if i > 0 {
			buffer.WriteByte(',')
		}
		fmt.Fprintf(buffer, `{"specversion":"1.0","id":"%d-%d-%d","source":"/bench","type":%q,"datacontenttype":"application/json","data":{"n":%d,"filler":"%s"}}`,
			time.Now().UnixNano(), sequence, i, eventType, sequence, p.filler)
	}
	buffer.WriteByte(']')
	return "application/cloudevents-batch+json"
}

type connection struct {
	socket net.Conn
	reader *bufio.Reader
	body   bytes.Buffer
	head   bytes.Buffer
}

func (p *poster) dial() (*connection, error) {
	socket, err := net.Dial("tcp", p.address)
	if err != nil {
		return nil, err
	}
	if p.secure {
		secured := tls.Client(socket, &tls.Config{InsecureSkipVerify: true})
		if err := secured.Handshake(); err != nil {
			socket.Close()
			return nil, err
		}
		socket = secured
	}
	return &connection{socket: socket, reader: bufio.NewReaderSize(socket, 8192)}, nil
}

func (p *poster) post(c *connection) error {
	sequence := p.sequence.Add(1)
	contentType := p.body(&c.body, sequence)
	c.head.Reset()
	path := p.path
	if p.o.namespaces > 1 {
		path = strings.Replace(path, "/bench/", fmt.Sprintf("/bench-%d/", int(sequence)/len(p.types)%p.o.namespaces), 1)
	}
	fmt.Fprintf(&c.head, "POST %s HTTP/1.1\r\nhost: %s\r\ncontent-type: %s\r\ncontent-length: %d\r\n", path, p.address, contentType, c.body.Len())
	if p.o.keys {
		fmt.Fprintf(&c.head, "idempotency-key: %d-%d\r\n", time.Now().UnixNano(), sequence)
	}
	c.head.WriteString("\r\n")
	c.head.Write(c.body.Bytes())
	begin := time.Now()
	if _, err := c.socket.Write(c.head.Bytes()); err != nil {
		return err
	}
	status, err := readAnswer(c.reader)
	if err != nil {
		return err
	}
	answered := time.Now()
	p.posted.Add(1)
	if status/100 != 2 {
		p.refused.Add(1)
		return nil
	}
	if p.s.recording.Load() {
		p.s.answered.Store(sequence, answered)
		p.mu.Lock()
		p.latency = append(p.latency, answered.Sub(begin).Seconds()*1000)
		p.mu.Unlock()
	}
	p.accepted.Add(int64(p.o.batch))
	return nil
}

func readAnswer(reader *bufio.Reader) (int, error) {
	line, err := reader.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil {
		return 0, err
	}
	length := 0
	for {
		line, err = reader.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if len(line) <= 2 {
			break
		}
		if len(line) > 16 && strings.EqualFold(string(line[:15]), "content-length:") {
			length, _ = strconv.Atoi(strings.TrimSpace(string(line[15:])))
		}
	}
	_, err = io.CopyN(io.Discard, reader, int64(length))
	return status, err
}

// closed keeps a fixed number of posts in flight.
func (p *poster) closed() {
	until := time.Now().Add(p.o.duration)
	inParallel(p.o.connections, func() {
		p.loop(func() bool { return time.Now().Before(until) })
	}).Wait()
}

// inParallel does work so many times at once; the group tells when all of it is over.
func inParallel(count int, work func()) *sync.WaitGroup {
	var group sync.WaitGroup
	for range count {
		group.Add(1)
		go func() {
			defer group.Done()
			work()
		}()
	}
	return &group
}

// open posts at a fixed rate whatever the answers take; a tick's posts go to whichever connection is free.
func (p *poster) open() {
	ticks := make(chan struct{}, 1<<20)
	group := inParallel(max(p.o.connections, 64), func() {
		p.loop(func() bool { _, ok := <-ticks; return ok })
	})
	begin := time.Now()
	total := int(p.o.rate * p.o.duration.Seconds())
	for sent := 0; sent < total; {
		due := int(time.Since(begin).Seconds() * p.o.rate)
		for ; sent < min(due, total); sent++ {
			ticks <- struct{}{}
		}
		time.Sleep(500 * time.Microsecond)
	}
	close(ticks)
	group.Wait()
}

func (p *poster) loop(more func() bool) {
	c, err := p.dial()
	for more() {
		if err == nil {
			err = p.post(c)
		}
		if err != nil {
			p.refused.Add(1)
			time.Sleep(5 * time.Millisecond)
			c, err = p.dial()
		}
	}
	if err == nil {
		_ = c.socket.Close()
	}
}

// clientHello is what a client begins with: made once, it costs a flood nothing.
func clientHello() []byte {
	ours, theirs := net.Pipe()
	go func() { _ = tls.Client(ours, &tls.Config{InsecureSkipVerify: true}).Handshake() }()
	buffer := make([]byte, 16384)
	n, err := theirs.Read(buffer)
	if err != nil {
		panic(err)
	}
	theirs.Close()
	return buffer[:n]
}

// storm opens connections, has the server answer a ClientHello, and closes them: the server has paid for most of a handshake, the client for none.
func (p *poster) storm() {
	hello := clientHello()
	until := time.Now().Add(p.o.duration)
	inParallel(p.o.connections, func() {
		answer := make([]byte, 4096)
		for time.Now().Before(until) {
			p.posted.Add(1)
			socket, err := net.Dial("tcp", p.address)
			if err == nil {
				_, _ = socket.Write(hello)
				_, err = socket.Read(answer)
				socket.Close()
			}
			if err != nil {
				p.refused.Add(1)
			} else {
				p.accepted.Add(1)
			}
		}
	}).Wait()
}
