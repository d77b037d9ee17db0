package load

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// stream is a request of HTTP/2 that a raw server got, and what it can be answered with.
type stream struct {
	*http2.Framer
	id    uint32
	hit   string // what the request says of whose it is
	first bool   // of all connections
	conn  net.Conn
}

// ok answers the stream as it should be.
func (s stream) ok() { s.fields(true, ":status", "200") }

// head begins an answer of the application with status 200, and more fields: names and values in turn.
func (s stream) head(end bool, more ...string) {
	s.fields(end, append([]string{":status", "200", strings.ToLower(DefaultVersionHeader), "v1"}, more...)...)
}

// fields writes a head, or a trailer: names and values in turn.
func (s stream) fields(end bool, pairs ...string) {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for i := 0; i < len(pairs); i += 2 {
		_ = encoder.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]}) // into memory
	}
	_ = s.WriteHeaders(http2.HeadersFrameParam{StreamID: s.id, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: end})
}

// data writes a part of the body.
func (s stream) data(end bool, text string) { _ = s.WriteData(s.id, end, []byte(text)) }

// rawHTTP2 hands each request of HTTP/2 to a function that answers it frame by frame, as badly as it likes.
func rawHTTP2(t *testing.T, answer func(stream)) (string, *tls.Config) {
	t.Helper()
	certificate := selfSigned(t)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	var first sync.Once
	open.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer conn.Close()
				talkHTTP2(conn, func(s stream) {
					first.Do(func() { s.first = true })
					answer(s)
				})
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		open.Wait()
	})
	pool := x509.NewCertPool()
	pool.AddCert(certificate.Leaf)
	return "https://" + listener.Addr().String(), &tls.Config{RootCAs: pool}
}

// talkHTTP2 speaks as much of HTTP/2 (RFC 9113) as it takes to get at the requests.
func talkHTTP2(conn net.Conn, answer func(stream)) {
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	framer := http2.NewFramer(conn, conn)
	if err := framer.WriteSettings(); err != nil {
		return
	}
	decoder := hpack.NewDecoder(4096, nil)
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = framer.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				_ = framer.WritePing(true, f.Data)
			}
		case *http2.HeadersFrame:
			s := stream{Framer: framer, id: f.StreamID, conn: conn}
			fields, err := decoder.DecodeFull(f.HeaderBlockFragment())
			if err != nil {
				return
			}
			for _, field := range fields {
				if field.Name == strings.ToLower(HitHeader) {
					s.hit = field.Value
				}
			}
			answer(s)
		}
	}
}

// selfSigned is a certificate for the loopback address, of a server and of a client alike.
func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}
