//go:build unix

package history

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A named pipe in the place of a file never ends, and a directory never begins: each is refused, and nothing waits for it.
func TestWhatIsNoFileIsRefused(t *testing.T) {
	cases := map[string]struct {
		make func(path string) error
		want string
	}{
		"a named pipe": {func(path string) error { return syscall.Mkfifo(path, 0o644) }, "is a named pipe, want a file"},
		"a directory":  {func(path string) error { return os.Mkdir(path, 0o755) }, "is a directory, want a file"},
		"a device":     {func(path string) error { return os.Symlink(os.DevNull, path) }, "is a device, want a file"},
	}
	for name, c := range cases {
		for _, file := range []string{eventsFile, runFile, hitsFile("get"), hitsFile("unknown")} {
			dir := filepath.Join(t.TempDir(), "run")
			rec := create(t, dir)
			if _, err := rec.Arm("get"); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, file)
			if err := errors.Join(rec.Close(EndFinished, ""), os.RemoveAll(path), c.make(path)); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), file+" "+c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s in the place of %s: %v", name, file, err)
			}
		}
		path := filepath.Join(t.TempDir(), "verdict.json")
		if err := c.make(path); err != nil {
			t.Fatal(err)
		}
		if err := OpenSealed(path, new(any)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s in the place of a sealed file: %v", name, err)
		}
	}
}

// A link to a file is one.
func TestALinkToAFileIsRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	rec := create(t, dir)
	elsewhere := filepath.Join(t.TempDir(), "run.json")
	path := filepath.Join(dir, runFile)
	if err := errors.Join(rec.Close(EndFinished, ""), os.Rename(path, elsewhere), os.Symlink(elsewhere, path)); err != nil {
		t.Fatal(err)
	}
	if h := open(t, dir); len(h.Damage()) != 0 {
		t.Errorf("damage %v", h.Damage())
	}
}
