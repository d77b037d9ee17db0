package engine

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const body = `{"id":"e000001","name":"login of c0ffee","sealed":"AAECAwQFBgcICQoLDA0ODw=="}`

// right is a whole and correct answer.
var right = answer(body, len(body))

// answer is a 200 that announces a length and the digest of the right body, whatever follows.
func answer(sent string, length int) string {
	digest := sha256.Sum256([]byte(body))
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nX-Rollproof-Version: v1\r\nX-Rollproof-Pod: a\r\nContent-Length: %d\r\nContent-Digest: sha-256=:%s:\r\n\r\n%s",
		length, base64.StdEncoding.EncodeToString(digest[:]), sent)
}

const unavailable = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"

// server answers each request by hand. n counts requests over all connections from 1, nth those of this connection.
type server struct {
	t    testing.TB
	talk func(c *net.TCPConn, n, nth uint64) (goOn bool)

	requests atomic.Uint64
	mu       sync.Mutex
	listener net.Listener
	conns    sync.WaitGroup
}

// serve starts a server; it ends with the test.
func serve(t testing.TB, talk func(c *net.TCPConn, n, nth uint64) bool) *server {
	t.Helper()
	s := &server{t: t, talk: talk}
	s.listen("127.0.0.1:0")
	t.Cleanup(s.close)
	return s
}

func (s *server) url() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return "http://" + s.listener.Addr().String()
}

func (s *server) listen(address string) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		s.t.Errorf("listen again on %s: %v", address, err)
		return
	}
	s.mu.Lock()
	s.listener = listener
	s.mu.Unlock()
	s.conns.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.conns.Go(func() { s.converse(conn.(*net.TCPConn)) })
		}
	})
}

func (s *server) close() {
	s.mu.Lock()
	_ = s.listener.Close()
	s.mu.Unlock()
	s.conns.Wait()
}

// refuse takes no connection for a while.
func (s *server) refuse(d time.Duration) {
	s.mu.Lock()
	address := s.listener.Addr().String()
	_ = s.listener.Close()
	s.mu.Unlock()
	closed := time.NewTimer(d)
	defer closed.Stop()
	<-closed.C
	s.listen(address)
}

func (s *server) converse(c *net.TCPConn) {
	defer c.Close()
	requests := bufio.NewReader(c)
	for nth := uint64(1); ; nth++ {
		req, err := http.ReadRequest(requests)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return
		}
		if !s.talk(c, s.requests.Add(1), nth) || strings.EqualFold(req.Header.Get("Connection"), "close") {
			return
		}
	}
}

func say(c *net.TCPConn, text string) bool {
	_, err := io.WriteString(c, text)
	return err == nil
}

// reset ends a connection with RST instead of FIN.
func reset(c *net.TCPConn) bool {
	_ = c.SetLinger(0) // an error means that it is closed already
	return false
}
