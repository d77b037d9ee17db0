package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/images"
)

// golden compares what people read with a file; UPDATE_GOLDEN=1 writes the file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: printed\n%s\nwant\n%s", name, got, want)
	}
}

func someStates(now time.Time) []images.State {
	key := strings.Repeat("0123456789abcdef", 4)
	digest := "sha256:" + strings.Repeat("fedcba9876543210", 4)
	return []images.State{
		{Image: images.Image{Component: "node", Version: "v1.36.3", Ref: "rollproof.local/node:0123456789ab", Digest: digest, Key: key, Size: 403_200_000,
			Source: "source"}, About: "kind node", Cached: true, Built: now.Add(-90 * time.Minute)},
		{Image: images.Image{Component: "probe", Version: "1", Ref: "rollproof.local/probe:0123456789ab", Digest: digest, Key: key, Size: 3_210, Source: "bundle"},
			About: "checks", Cached: true, Built: now.Add(-72 * time.Hour)},
		{Image: images.Image{Component: "routes", Version: "1", Key: key}, About: "pod network", Why: `was "file main.go sha256:1", is "file main.go sha256:2"`},
	}
}

func TestListIsWhatPeopleAndScriptsRead(t *testing.T) {
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	for name, print := range map[string]func(out *bytes.Buffer) error{
		"list.txt":     func(out *bytes.Buffer) error { return printStates(out, someStates(now), false, now) },
		"list-why.txt": func(out *bytes.Buffer) error { return printStates(out, someStates(now), true, now) },
		"list.json":    func(out *bytes.Buffer) error { return printJSON(out, someStates(now)) },
	} {
		var out bytes.Buffer
		if err := print(&out); err != nil {
			t.Fatal(err)
		}
		golden(t, name, out.String())
	}
}

func TestImagesListAsJSON(t *testing.T) {
	t.Setenv("ROLLPROOF_CACHE", t.TempDir())
	code, out, errs := rollproof("images", "list", "--output", "json")
	var states []map[string]any
	if err := json.Unmarshal([]byte(out), &states); code != 0 || err != nil {
		t.Fatalf("exit code %d, %v, %s", code, err, errs)
	}
	seen := map[string]bool{}
	for _, st := range states {
		seen[st["component"].(string)] = true
		if st["cached"] != false || st["why"] == "" {
			t.Errorf("on an empty cache: %v", st)
		}
	}
	if !seen["node"] || !seen["routes"] {
		t.Errorf("listed %v", seen)
	}
}

func TestBadInputToImagesIsOneLine(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.tar")
	if err := os.WriteFile(bad, []byte("not a bundle"), 0o644); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		args []string
		want []string
	}{
		"unknown component": {[]string{"images", "build", "nod"}, []string{`no component "nod"`, `did you mean node?`}},
		"in list":           {[]string{"images", "list", "rotues"}, []string{`did you mean routes?`}},
		"unknown source":    {[]string{"images", "build", "--images=sauce"}, []string{"--images=sauce", "source, pull, bundle:FILE or auto"}},
		"unknown output":    {[]string{"images", "list", "--output=yaml"}, []string{"text or json"}},
		"no bundle":         {[]string{"images", "load", bad}, []string{bad, "nothing was loaded"}},
		"missing bundle":    {[]string{"images", "build", "probe", "--images=bundle:" + bad + "x"}, []string{bad + "x", "no such file"}},
		"too many files":    {[]string{"images", "load", bad, bad}, []string{"too much"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Setenv("ROLLPROOF_CACHE", t.TempDir())
			code, _, errs := rollproof(c.args...)
			if code != exitCouldNotRun {
				t.Errorf("exit code %d, want %d", code, exitCouldNotRun)
			}
			lines := strings.Split(strings.TrimSpace(errs), "\n")
			last := lines[len(lines)-1]
			if !strings.HasPrefix(last, "rollproof: ") {
				t.Errorf("the last line is %q", last)
			}
			for _, want := range c.want {
				if !strings.Contains(last, want) {
					t.Errorf("said %q, which lacks %q", last, want)
				}
			}
		})
	}
}

func TestSizesAndAges(t *testing.T) {
	for bytes, want := range map[int64]string{0: "0.0 kB", 999_999: "1000.0 kB", 1_000_000: "1.0 MB", 1_200_000_000: "1.20 GB"} {
		if got := size(bytes); got != want {
			t.Errorf("size(%d) = %q, want %q", bytes, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "0m", 59 * time.Minute: "59m", time.Hour: "1h", 49 * time.Hour: "2d"} {
		if got := age(d); got != want {
			t.Errorf("age(%s) = %q, want %q", d, got, want)
		}
	}
}
