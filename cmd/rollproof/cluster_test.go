package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bitvault.dev/rollproof/harness/site"
	"bitvault.dev/rollproof/harness/site/kind"
)

// runCommand runs the command line as main does, without a process.
func runCommand(args ...string) (code int, out string) {
	var text bytes.Buffer
	root := newRootCommand()
	root.SetOut(&text)
	root.SetErr(&text)
	root.SetArgs(args)
	code = execute(context.Background(), root)
	return code, text.String()
}

func TestBadInputToClusterCommandsIsOneLineAndExit3(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "kind.yaml")
	if err := os.WriteFile(broken, []byte("kind: Cluster\nnodes: {"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock") // whatever engine there is stays out of this
	t.Setenv("DOCKER_CONTEXT", "")
	cases := map[string]struct {
		args []string
		want []string
	}{
		"malformed configuration":     {[]string{"cluster", "up", "--config", broken}, []string{broken, "line"}},
		"missing configuration":       {[]string{"cluster", "up", "--config", "/nonexistent.yaml"}, []string{"/nonexistent.yaml"}},
		"no engine where it is named": {[]string{"cluster", "up"}, []string{"no Docker engine answers", "/nonexistent/docker.sock", "DOCKER_HOST"}},
		"down without an engine":      {[]string{"cluster", "down"}, []string{"no Docker engine answers"}},
		"output":                      {[]string{"cluster", "status", "-o", "xml"}, []string{"xml", "text or json"}},
		"kubeconfig without context":  {[]string{"cluster", "status", "--kubeconfig", "/x"}, []string{"name both"}},
		"context without kubeconfig":  {[]string{"cluster", "status", "--context", "prod"}, []string{"name both"}},
		"unknown kubeconfig":          {[]string{"cluster", "status", "--kubeconfig", "/nonexistent", "--context", "prod"}, []string{"/nonexistent", "prod"}},
		"stray argument":              {[]string{"cluster", "down", "mine"}, []string{"mine"}},
		"unknown verb":                {[]string{"cluster", "upp"}, []string{"upp"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			code, out := runCommand(c.args...)
			if code != exitCouldNotRun {
				t.Errorf("exit code %d, want %d", code, exitCouldNotRun)
			}
			for _, want := range c.want {
				if !strings.Contains(out, want) {
					t.Errorf("%q does not say %q", out, want)
				}
			}
			if strings.Count(out, "\n") != 1 {
				t.Errorf("not one line: %q", out)
			}
		})
	}
}

// status is a cluster whose second worker is gone.
var status = site.Status{Name: "c", Provider: "kind", Kubeconfig: "/nonexistent", Note: "c-worker2: Ready is Unknown", Nodes: []site.NodeStatus{
	{Name: "c-control-plane", Role: "control-plane", Ready: true, Version: "v1.36.3"}, {Name: "c-worker2", Role: "worker", Version: "v1.36.3"}}}

func TestStatusForPeople(t *testing.T) {
	var out bytes.Buffer
	if err := printStatus(&out, status, "text"); err != nil {
		t.Fatal(err)
	}
	want := "c (kind): NOT ready: c-worker2: Ready is Unknown\n" +
		"  c-control-plane  control-plane  ready=true   v1.36.3\n" +
		"  c-worker2        worker         ready=false  v1.36.3\n"
	if out.String() != want {
		t.Errorf("got\n%s, want\n%s", &out, want)
	}
}

func TestStatusAsJSONIsAStableContract(t *testing.T) {
	var out bytes.Buffer
	if err := printStatus(&out, status, "json"); err != nil {
		t.Fatal(err)
	}
	want := `{"name":"c","provider":"kind","ready":false,"nodes":[{"name":"c-control-plane","role":"control-plane","ready":true,"version":"v1.36.3"},` +
		`{"name":"c-worker2","role":"worker","ready":false,"version":"v1.36.3"}],"kubeconfig":"/nonexistent"}` + "\n"
	if out.String() != want || !json.Valid(out.Bytes()) {
		t.Errorf("got %s, want %s", &out, want)
	}
}

func TestUpTellsEveryCheck(t *testing.T) {
	var out bytes.Buffer
	report := kind.UpReport{Cleaned: []string{"cluster old"}, Results: []kind.Result{
		{Name: "dns answers", Passed: true, Seconds: 1.25, Evidence: "10.96.0.1 from 3 nodes"},
		{Name: "volume binds", Seconds: 90, Error: "claim is Pending"}}}
	printUp(&out, nil, report, errors.New("a check failed"))
	want := "removed cluster old, which a killed run had left\n" +
		"ok   dns answers         1.2s  10.96.0.1 from 3 nodes\n" +
		"FAIL volume binds       90.0s  claim is Pending\n"
	if out.String() != want {
		t.Errorf("got\n%s, want\n%s", &out, want)
	}
}
