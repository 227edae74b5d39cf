package testenv

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// MySQLProxy starts a proxy for the server that a DSN names, and returns the DSN of the
// proxy. The proxy calls change for each packet that a client sends, before the server
// gets the packet. change may change the bytes of the packet, but not their number. It
// must be safe for concurrent use. The proxy ends when the test ends.
func MySQLProxy(t testing.TB, dsn string, change func(packet []byte)) (proxied string) {
	t.Helper()
	cfg, err := mysql.ParseDSN(dsn)
	Must(t, err)
	cfg.Addr = startProxy(t, change, cfg.Addr)
	return cfg.FormatDSN()
}

// startProxy starts a proxy that distributes its connections over servers, in turn.
func startProxy(t testing.TB, change func(packet []byte), to ...string) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Must(t, err)
	p := &proxy{to: to, change: change, open: map[net.Conn]bool{}}
	p.running.Go(func() { p.accept(listener) })
	t.Cleanup(func() {
		listener.Close()
		p.close()
		p.running.Wait()
	})
	return listener.Addr().String()
}

// Blank replaces the words by spaces.
func Blank(packet []byte, words string) {
	for i := bytes.Index(packet, []byte(words)); i >= 0; i = bytes.Index(packet, []byte(words)) {
		copy(packet[i:], bytes.Repeat([]byte(" "), len(words)))
	}
}

type proxy struct {
	to      []string
	change  func([]byte)
	running sync.WaitGroup

	mu     sync.Mutex
	closed bool
	open   map[net.Conn]bool
}

func (p *proxy) accept(listener net.Listener) {
	for turn := 0; ; turn++ {
		client, err := listener.Accept()
		if err != nil {
			return // the test has ended
		}
		server, err := net.Dial("tcp", p.to[turn%len(p.to)])
		if err != nil {
			client.Close()
			continue
		}
		if !p.keep(client, server) {
			return
		}
		end := func() {
			client.Close()
			server.Close()
		}
		p.running.Go(func() {
			defer end()
			_, _ = io.Copy(client, server)
		})
		p.running.Go(func() {
			defer end()
			p.forward(server, client)
		})
	}
}

// keep keeps the connections for close. If close was called before, keep closes them
// and returns false.
func (p *proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		p.open[c] = true
		if p.closed {
			c.Close()
		}
	}
	return !p.closed
}

func (p *proxy) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for c := range p.open {
		c.Close()
	}
}

// forward sends the client's packets to the server. A packet begins with the length of
// its content, in three bytes, and its number.
func (p *proxy) forward(server io.Writer, client io.Reader) {
	const head = 4
	for {
		packet := make([]byte, head)
		if _, err := io.ReadFull(client, packet); err != nil {
			return
		}
		length := binary.LittleEndian.Uint32(packet) & 0xffffff
		packet = append(packet, make([]byte, length)...)
		if _, err := io.ReadFull(client, packet[head:]); err != nil {
			return
		}
		p.change(packet[head:])
		if _, err := server.Write(packet); err != nil {
			return
		}
	}
}
