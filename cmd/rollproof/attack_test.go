package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bitvault.dev/rollproof/harness/history"
)

// rollproofCommand runs the command line and returns its exit code and what it printed on both streams.
func rollproofCommand(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	root := newRootCommand()
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetArgs(args)
	code = execute(ctx, root)
	return code, out.String(), errs.String()
}

func getServer(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			t.Errorf("a server that is not ours was sent a %s", r.Method)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestAttackRecordsARunOfGETsOnly(t *testing.T) {
	out := filepath.Join(t.TempDir(), "run")
	code, text, errs := rollproofCommand(t.Context(), "attack", "--target", getServer(t), "--control", getServer(t), "--rate", "400/s", "--duration", "800ms", "--out", out)
	if code != exitPass || !strings.Contains(text, filepath.Join(out, "report.html")) {
		t.Errorf("exit code %d, printed %q and %q", code, text, errs)
	}
	for _, file := range []string{"verdict.json", "junit.xml", "report.html"} {
		if _, err := os.Stat(filepath.Join(out, file)); err != nil {
			t.Errorf("the run has no %s: %v", file, err)
		}
	}
	h, err := history.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	arms, err := h.Arms()
	slices.Sort(arms)
	if err != nil || strings.Join(arms, " ") != "control get get-close get-once" {
		t.Errorf("arms %v, %v", arms, err)
	}
	n := 0
	for _, arm := range arms {
		for hit, err := range h.Hits(arm) {
			if err != nil || hit.Failed() {
				t.Errorf("hit %+v, %v", hit, err)
			}
			n++
		}
	}
	if n != 427 || h.Run().Scenario != "attack" || h.Run().Machine.Cores == 0 {
		t.Errorf("%d hits of run %+v, want 427", n, h.Run())
	}
}

func TestInterruptedAttackIsInconclusive(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { cancel() }))
	t.Cleanup(server.Close)
	out := filepath.Join(t.TempDir(), "run")
	code, text, errs := rollproofCommand(ctx, "attack", "--target", server.URL, "--rate", "100/s", "--duration", "1m", "--out", out)
	if code != exitInconclusive || !strings.Contains(text, "interrupted") || !strings.Contains(text, "report.html") {
		t.Errorf("exit code %d, printed %q and %q", code, text, errs)
	}
	h, err := history.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	end := ""
	for e, err := range h.Events() {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == history.KindEnd {
			end = e.End.Reason
		}
	}
	if end != "interrupted" {
		t.Errorf("the record ended with %q", end)
	}
}

func TestBadAttacksAreOneClearLine(t *testing.T) {
	url := getServer(t)
	dir := t.TempDir()
	full := filepath.Join(dir, "full")
	broken := filepath.Join(dir, "broken.jsonl")
	posts, gets := filepath.Join(dir, "posts.jsonl"), filepath.Join(dir, "gets.jsonl")
	https := "https" + strings.TrimPrefix(url, "http")
	certificate, _, _ := pemFiles(t)
	_, other, _ := pemFiles(t)
	for file, text := range map[string]string{filepath.Join(full, "x"): "", broken: "{\n", posts: `{"offset":0,"method":"POST","path":"/"}`,
		gets: `{"offset":0,"method":"GET","path":"/"}`} {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no target":       {[]string{"--out", "o"}, "say --target"},
		"no out":          {[]string{"--target", url}, "say --out"},
		"unreachable":     {[]string{"--target", "http://127.0.0.1:1/"}, "reach http://127.0.0.1:1/ before the load"},
		"no URL":          {[]string{"--target", "localhost"}, `target "localhost": want a URL`},
		"unknown arm":     {[]string{"--target", url, "--arms", "gte"}, `there is no arm "gte": did you mean get?`},
		"control in arms": {[]string{"--target", url, "--arms", "control"}, "say --control URL"},
		"bad rate":        {[]string{"--target", url, "--rate", "fast"}, `rate "fast": want a number of hits and a unit`},
		"broken traffic":  {[]string{"--target", url, "--traffic", broken}, "line 1: want one JSON object"},
		"posts unsent":    {[]string{"--target", url, "--traffic", posts}, "no arm sends them"},
		"loop for ever":   {[]string{"--target", url, "--traffic", posts, "--arms", "post", "--loop", "--duration", "0s"}, "say --duration too"},
		"bad deadline":    {[]string{"--target", url, "--deadline", "0s"}, "want more than 0"},
		"out not empty":   {[]string{"--target", url, "--out", full}, "the directory is not empty: name a new one"},
		"an argument":     {[]string{"http://u:secret@h"}, `"http://redacted@h" belongs to no flag: say --target URL`},
		"query, traffic":  {[]string{"--target", url + "/x?a=1", "--traffic", gets}, "it cannot hold a ? or a #"},
		"speed alone":     {[]string{"--target", url, "--speed", "2"}, "--speed changes the times of a traffic file: say --traffic"},
		"speed, rate":     {[]string{"--target", url, "--traffic", gets, "--rate", "1/s", "--speed", "2"}, "without --rate"},
		"loop alone":      {[]string{"--target", url, "--loop"}, "--loop starts a traffic file over: say --traffic"},
		"odd header":      {[]string{"--target", url, "--header", "secret"}, "--header: header 1: want one like 'Name: value'"},
		"reserved header": {[]string{"--target", url, "--header", "Upgrade: secret"}, "header Upgrade is set by the connection or by rollproof"},
		"TLS over http":   {[]string{"--target", url, "--insecure"}, "no target begins with https://"},
		"no CA file":      {[]string{"--target", https, "--cacert", broken + "x"}, "--cacert: open " + broken + "x"},
		"odd CA file":     {[]string{"--target", https, "--cacert", broken}, "it holds no certificate in PEM form"},
		"CA and insecure": {[]string{"--target", https, "--cacert", broken, "--insecure"}, "--cacert would be ignored"},
		"key alone":       {[]string{"--target", https, "--key", broken}, "say --cert FILE"},
		"no cert file":    {[]string{"--target", https, "--cert", broken + "x"}, broken + "x: no such file"},
		"odd cert file":   {[]string{"--target", https, "--cert", broken}, "--cert " + broken},
		"key of another":  {[]string{"--target", https, "--cert", certificate, "--key", other}, "private key does not match public key"},
		"out unwritable":  {[]string{"--target", url, "--out", filepath.Join(broken, "run")}, "start a record in"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"attack", "--duration", "10ms"}, c.args...)
			out := filepath.Join(dir, "out")
			if name != "no out" && name != "no target" && !strings.HasPrefix(name, "out ") {
				args = append(args, "--out", out)
			}
			code, stdout, stderr := rollproofCommand(t.Context(), args...)
			if code != exitCouldNotRun || !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") != 1 || stdout != "" || strings.Contains(stderr, "secret") {
				t.Errorf("exit code %d, printed %q and %q, want one line with %q", code, stdout, stderr, c.want)
			}
			if _, err := os.Stat(out); err == nil {
				t.Error("a run that could not start left a directory")
			}
		})
	}
}
