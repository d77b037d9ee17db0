package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// commandLine makes this process look as if it had been started with these arguments: a record holds them.
func commandLine(t *testing.T, args ...string) []string {
	before := os.Args
	os.Args = append([]string{"rollproof"}, args...)
	t.Cleanup(func() { os.Args = before })
	return args
}

// The server answers as debug pages do, with all that it was sent, so that every file of the run could hold a secret.
func TestNoFileOfARunAndNoTerminalHoldsASecret(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user != "name-of-ours" || password != "pass/word-of-ours" || r.Header.Get("X-Token") != "token-of-ours" {
			t.Errorf("the server was sent user %q, password %q, token %q", user, password, r.Header.Get("X-Token"))
		}
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, "%s %s %v", user, password, r.Header)
	}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	out := filepath.Join(dir, "run")
	traffic := filepath.Join(dir, "day.jsonl")
	if err := os.WriteFile(traffic, []byte(`{"offset":"0s","method":"GET","path":"/a"}`+"\n"+`{"offset":"10ms","method":"GET","path":"/b"}`+"\n"+`{"offset":"20ms","method":"GET","path":"/c"}`+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	target := strings.Replace(server.URL, "://", "://name-of-ours:pass%2Fword-of-ours@", 1)
	for _, more := range [][]string{{"--target=" + target, "--duration", "200ms"}, {"--target", target, "--traffic", traffic}} {
		if err := os.RemoveAll(out); err != nil {
			t.Fatal(err)
		}
		args := commandLine(t, append([]string{"attack", "--out", out, "--header", "X-Token: token-of-ours", "--header=X-Two:token-of-ours"}, more...)...)
		code, stdout, stderr := rollproofCommand(t.Context(), args...)
		if code != exitBroken {
			t.Errorf("exit code %d, printed %s", code, stderr)
		}
		texts := map[string]string{"the terminal": stdout + stderr}
		err := filepath.WalkDir(out, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			texts[filepath.Base(path)] = string(data)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{"run.json", "events.jsonl", "hits-get.bin", "verdict.json", "junit.xml", "report.html"} {
			if texts[file] == "" {
				t.Errorf("the run has no %s", file)
			}
		}
		if !strings.Contains(texts["run.json"], "redacted@") || !strings.Contains(texts["run.json"], "X-Token: redacted") {
			t.Errorf("run.json does not tell the command: %s", texts["run.json"])
		}
		for file, text := range texts {
			for _, secret := range []string{"pass/word-of-ours", "pass%2Fword-of-ours", "token-of-ours", "bmFtZS1vZi1vdXJz"} {
				if strings.Contains(text, secret) {
					t.Errorf("%s holds %q", file, secret)
				}
			}
		}
	}
}

func TestAttackJudgesRouteByRoute(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(server.Close)
	out := filepath.Join(t.TempDir(), "run")
	code, stdout, stderr := rollproofCommand(t.Context(), "attack", "--target", server.URL+"/good", "--target", server.URL+"/bad", "--rate", "300/s",
		"--duration", "400ms", "--out", out)
	if code != exitBroken {
		t.Errorf("exit code %d, printed %s", code, stderr)
	}
	var lines []string
	for line := range strings.Lines(stdout) {
		if fields := strings.Fields(line); len(fields) >= 10 && strings.HasPrefix(fields[len(fields)-1], "/") { // the figures between have units
			lines = append(lines, strings.Join(slices.Delete(fields, 4, len(fields)-2), " "))
		}
	}
	if want := []string{"fail 60 60 - GET /bad", "pass 60 0 5 GET /good"}; !slices.Equal(lines, want) {
		t.Errorf("printed the routes %q, want %q, in %s", lines, want, stdout)
	}
	verdict, err := os.ReadFile(filepath.Join(out, "verdict.json"))
	if err != nil || !bytes.Contains(verdict, []byte(`"name": "GET /bad"`)) {
		t.Errorf("verdict.json: %v, %s", err, verdict)
	}
}

// pemFiles writes a certificate with its key, apart and together.
func pemFiles(t *testing.T) (certificate, key, both string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, blocks ...*pem.Block) string {
		var text []byte
		for _, block := range blocks {
			text = append(text, pem.EncodeToMemory(block)...)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	c, k := &pem.Block{Type: "CERTIFICATE", Bytes: der}, &pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}
	return write("client.pem", c), write("client.key", k), write("both.pem", c, k)
}

func TestAttackOverMutualTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o644); err != nil {
		t.Fatal(err)
	}
	certificate, key, both := pemFiles(t)
	for _, c := range []struct {
		args     []string
		code     int
		protocol string
	}{
		// Ten handshakes are too few for a pass. That nothing failed is seen below.
		{[]string{"--cacert", ca, "--cert", certificate, "--key", key}, exitInconclusive, "HTTP/1.1"},
		{[]string{"--cacert", ca, "--cert", both, "--http2"}, exitInconclusive, "HTTP/2.0"},
		{[]string{"--insecure", "--cert", both}, exitInconclusive, "HTTP/1.1"},
		{[]string{"--cacert", ca}, exitBroken, ""},
		{[]string{"--cert", both}, exitBroken, ""}, // the server's own certificate is one that nobody knows
	} {
		out := filepath.Join(t.TempDir(), "run")
		args := append([]string{"attack", "--target", server.URL, "--rate", "50/s", "--duration", "200ms", "--out", out}, c.args...)
		if code, _, stderr := rollproofCommand(t.Context(), args...); code != c.code {
			t.Errorf("%v: exit code %d, want %d: %s", c.args, code, c.code, stderr)
		}
		h, err := history.Open(out)
		if err != nil {
			t.Fatal(err)
		}
		for e, err := range h.Events() {
			if err != nil {
				t.Fatal(err)
			}
			if e.Window != nil && e.Window.Ended && strings.Join(e.Window.Protocols, " ") != c.protocol {
				t.Errorf("%v: spoke %v, want %s", c.args, e.Window.Protocols, c.protocol)
			}
		}
		for hit, err := range h.Hits("get") {
			if err != nil || hit.Failed() && hit.Reason != "tls" {
				t.Errorf("%v: %+v, %v", c.args, hit, err)
			}
		}
	}
}
