package main

import (
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The secrets that the tests plant, and how they are given.
var planted = struct {
	secrets []string
	values  []string
}{
	[]string{"pass-word-of-ours", "token-of-ours"},
	[]string{"http://user:pass-word-of-ours@127.0.0.1:1/", "//user:pass-word-of-ours@127.0.0.1:1/", "Authorization: Bearer token-of-ours"},
}

// valueFlags are the flags that take a value, of each command, by the command as it is typed.
func valueFlags(root *cobra.Command) map[string][]string {
	all := map[string][]string{}
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
		path := strings.TrimPrefix(strings.TrimPrefix(cmd.CommandPath(), root.Name()), " ")
		if !cmd.Runnable() || cmd.DisableFlagParsing || path == "" {
			return
		}
		note := func(f *pflag.Flag) {
			if f.NoOptDefVal == "" { // a switch has one
				all[path] = append(all[path], f.Name)
			}
		}
		cmd.NonInheritedFlags().VisitAll(note)
		cmd.InheritedFlags().VisitAll(note)
	}
	visit(root)
	return all
}

// A secret that is planted in any flag of any command is in no output and in no file, whatever the command makes of it.
func TestNoFlagGivesASecretAway(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	log := `127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.0" 200 2326` + "\n"
	// What a command needs to get as far as it can without a cluster. The others end at an argument that does not exist.
	given := map[string][]string{
		"attack":          {"--target", server.URL, "--out", "run", "--rate", "50/s", "--duration", "100ms"},
		"judge":           {"record"},
		"report":          {"record"},
		"traffic convert": {"access.log"},
		"stack render":    {},
	}
	flags := valueFlags(newRootCommand())
	if len(flags) < 10 || len(flags["attack"]) < 15 {
		t.Fatalf("%d commands with flags were found, %d flags of attack: this test would prove nothing", len(flags), len(flags["attack"]))
	}
	record := filepath.Join("..", "..", "harness", "checks", "testdata", "green")
	var running sync.WaitGroup
	slots := make(chan struct{}, 4)
	for path, names := range flags {
		args, known := given[path]
		if !known {
			args = []string{"nowhere"}
		}
		for _, name := range names {
			for i, value := range planted.values {
				dashes := []string{"--" + name}
				if i == 0 {
					dashes = append(dashes, "-"+name) // the commonest mistake: it ends in one way, whatever the value
				}
				for _, flag := range dashes {
					command := append(append(strings.Fields(path), args...), flag+"="+value)
					dir := t.TempDir()
					if err := errors.Join(os.CopyFS(filepath.Join(dir, "record"), os.DirFS(record)), os.WriteFile(filepath.Join(dir, "access.log"), []byte(log), 0o644)); err != nil {
						t.Fatal(err)
					}
					env := offline(t)
					running.Go(func() {
						slots <- struct{}{}
						defer func() { <-slots }()
						assertNoSecret(t, dir, env, command)
					})
				}
			}
		}
	}
	running.Wait()
}

// assertNoSecret runs a command in a directory of its own, and looks for what was planted.
func assertNoSecret(t *testing.T, dir string, env, args []string) {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env, cmd.Dir = append(env, asCommand+"=1"), dir
	output, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Errorf("%q: %v", args, err)
	}
	texts := map[string]string{"the output": string(output)}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		texts[path] = path + string(data)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	for where, text := range texts {
		for _, secret := range planted.secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%q: %q is in %s: %s", args, secret, where, text)
			}
		}
	}
	if len(output) == 0 && exit != nil {
		t.Errorf("%q: ended with %v and said nothing", args, exit)
	}
}

func TestSecretsAreRefusedWhereNoneBelong(t *testing.T) {
	for flag, args := range map[string][]string{
		"--check": {"judge", "nowhere", "--check=load.held,//user:password@host"},
		"--out":   {"report", "nowhere", "--out", "http://user:password@host/"},
		"--pace":  {"list", "--pace=Authorization: Bearer token"},
	} {
		if code, stdout, stderr := rollproof(args...); code != exitCouldNotRun || !strings.Contains(stderr, flag+" holds a password or a header field") {
			t.Errorf("%q: exit code %d, printed %s %s", args, code, stdout, stderr)
		}
	}
}
