package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// apiPath is where farmers in the field call.
const apiPath = "/api/downstream/v1"

// request is one, ready to be sent. Several share a body.
type request struct{ head, body []byte }

// get is a request without a body.
func get(path string) request {
	return request{head: fmt.Appendf(nil, "GET %s%s HTTP/1.1\r\nHost: node\r\n\r\n", apiPath, path)}
}

// post is a request with a body that, as the farmers in the field have it, is
// said to be compressed and is not.
func post(path string, body []byte) request {
	return request{
		head: fmt.Appendf(nil, "POST %s%s HTTP/1.1\r\nHost: node\r\nContent-Type: application/json\r\n"+
			"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n", apiPath, path, len(body)),
		body: body,
	}
}

// caller is one connection to the node. It costs little beside what it
// measures: the bytes of a request go out as they are, and those of an answer
// into a buffer that is used again.
type caller struct {
	conn   net.Conn
	reader *bufio.Reader
	answer bytes.Buffer
}

func dial(url string) (*caller, error) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		return nil, err
	}
	return &caller{conn: conn, reader: bufio.NewReaderSize(conn, 64<<10)}, nil
}

// do makes a request and gives the body of the answer, good until the next
// one. Any status but 200 is an error.
func (c *caller) do(r request) ([]byte, error) {
	parts := net.Buffers{r.head, r.body}
	if _, err := parts.WriteTo(c.conn); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	c.answer.Reset()
	if _, err := c.answer.ReadFrom(resp.Body); err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %.200s", resp.Status, c.answer.Bytes())
	}
	return c.answer.Bytes(), nil
}

// flow is what became of a load: how long it took in all, and each request.
type flow struct {
	took time.Duration
	each []time.Duration
}

// pour makes requests over so many connections. Each serves one farmer at a
// time, whose requests it makes one after the other. check is given each
// answer.
func (b *bench) pour(url string, connections int, farmers [][]request, check func(farmer, at int, answer []byte) error) flow {
	callers := make([]*caller, connections)
	for i := range callers {
		c, err := dial(url)
		if err != nil {
			b.Fatal(err)
		}
		defer c.conn.Close()
		callers[i] = c
	}
	var (
		next    atomic.Int64
		failure atomic.Pointer[error]
		each    = make([][]time.Duration, connections)
		working sync.WaitGroup
	)
	start := time.Now()
	for i, c := range callers {
		working.Go(func() {
			for at := int(next.Add(1)) - 1; at < len(farmers) && failure.Load() == nil && b.ctx.Err() == nil; at = int(next.Add(1)) - 1 {
				took, err := c.serve(farmers[at], func(request int, answer []byte) error { return check(at, request, answer) })
				each[i] = append(each[i], took...)
				if err != nil {
					failure.Store(&err)
				}
			}
		})
	}
	working.Wait()
	r := flow{took: time.Since(start)}
	if err := failure.Load(); err != nil {
		b.Fatal(*err)
	}
	b.goOn()
	for _, took := range each {
		r.each = append(r.each, took...)
	}
	return r
}

// serve makes one farmer's requests and gives the time of each.
func (c *caller) serve(requests []request, check func(at int, answer []byte) error) (took []time.Duration, err error) {
	for at, r := range requests {
		sent := time.Now()
		answer, err := c.do(r)
		if err != nil {
			return took, err
		}
		took = append(took, time.Since(sent))
		if err := check(at, answer); err != nil {
			return took, err
		}
	}
	return took, nil
}
