package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// apiPath is the path that real farmers use.
const apiPath = "/api/downstream/v1"

// request is a complete request. Several requests may share a body.
type request struct{ head, body []byte }

// get makes a request without a body.
func get(path string) request {
	return request{head: fmt.Appendf(nil, "GET %s%s HTTP/1.1\r\nHost: node\r\n\r\n", apiPath, path)}
}

// post makes a request with a body. It declares that the body is compressed
// although it is not, as real farmers do.
func post(path string, body []byte) request {
	return request{
		head: fmt.Appendf(nil, "POST %s%s HTTP/1.1\r\nHost: node\r\nContent-Type: application/json\r\n"+
			"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n", apiPath, path, len(body)),
		body: body,
	}
}

// connection is one connection to the node. It needs little processor time, because
// it sends requests without changes and reads all responses into one buffer.
type connection struct {
	net.Conn
	reader *bufio.Reader
	body   bytes.Buffer
}

// do sends a request and returns the response's body, which is valid until the
// next call. Any status but 200 is an error.
func (c *connection) do(r request) ([]byte, error) {
	parts := net.Buffers{r.head, r.body}
	if _, err := parts.WriteTo(c.Conn); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	c.body.Reset()
	if _, err := c.body.ReadFrom(resp.Body); err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %.200s", resp.Status, c.body.Bytes())
	}
	return c.body.Bytes(), nil
}

// timing holds the time of a whole load and of each request.
type timing struct {
	all  time.Duration
	each []time.Duration
}

// perSecond returns the rate of units, if each request has n units.
func (t timing) perSecond(n int) float64 { return float64(len(t.each)*n) / t.all.Seconds() }

// percentile returns the time, in milliseconds, within which p percent of the
// requests ended.
func (t timing) percentile(p int) float64 {
	sorted := slices.Sorted(slices.Values(t.each))
	at := min(len(sorted)*p/100, len(sorted)-1)
	return float64(sorted[at]) / float64(time.Millisecond)
}

// send sends requests over several connections. Each connection sends the requests
// of one farmer after another. check gets the body of each response.
func (b *bench) send(url string, connections int, farmers [][]request, check func(farmer int, body []byte) error) timing {
	var next atomic.Int64
	each := make([][]time.Duration, connections)
	opened := make([]*connection, connections)
	for i := range opened {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		b.must(err)
		defer conn.Close()
		opened[i] = &connection{Conn: conn, reader: bufio.NewReaderSize(conn, 64<<10)}
	}
	group, ctx := errgroup.WithContext(b.ctx)
	start := time.Now()
	for i, c := range opened {
		group.Go(func() error {
			for farmer := int(next.Add(1)) - 1; farmer < len(farmers) && ctx.Err() == nil; farmer = int(next.Add(1)) - 1 {
				for _, r := range farmers[farmer] {
					sent := time.Now()
					body, err := c.do(r)
					if err != nil {
						return err
					}
					each[i] = append(each[i], time.Since(sent))
					if err := check(farmer, body); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	err := group.Wait()
	took := time.Since(start)
	b.must(err)
	b.stopIfInterrupted()
	return timing{took, slices.Concat(each...)}
}
