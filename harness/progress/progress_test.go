package progress

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// plain runs steps on a display that is no terminal, under synctest's clock, and returns its lines without the time of day.
func plain(t *testing.T, memory string, steps func(d *Display)) []string {
	t.Helper()
	var out bytes.Buffer
	synctest.Test(t, func(*testing.T) { steps(New(&out, memory)) })
	stamp := regexp.MustCompile(`^\d\d:\d\d:\d\d  `)
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	for i, line := range lines {
		if !stamp.MatchString(line) {
			t.Errorf("line %q has no time of day", line)
		}
		lines[i] = stamp.ReplaceAllString(line, "")
	}
	return lines
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("printed\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestLongStepRepeatsItselfAndIsRemembered(t *testing.T) {
	memory := filepath.Join(t.TempDir(), "sub", "durations.json")
	got := plain(t, memory, func(d *Display) {
		s := d.Start("image node")
		s.Say("build %s", "kubelet")
		time.Sleep(45 * time.Second)
		_ = s.Done(nil)
	})
	expect(t, got, "image node", "image node: build kubelet",
		"image node, 20 s so far: build kubelet", "image node, 40 s so far: build kubelet", "image node: done in 45 s")

	got = plain(t, memory, func(d *Display) {
		s := d.Start("image node")
		time.Sleep(25 * time.Second)
		_ = s.Done(nil)
	})
	expect(t, got, "image node (usually 45 s)", "image node, 20 s so far of usually 45 s", "image node: done in 25 s")
}

func TestFailureIsNotRemembered(t *testing.T) {
	memory := filepath.Join(t.TempDir(), "durations.json")
	broken := errors.New("no space left")
	got := plain(t, memory, func(d *Display) {
		s := d.Start("pack")
		time.Sleep(3 * time.Second)
		if err := s.Done(broken); err != broken {
			t.Errorf("Done returned %v, want its argument", err)
		}
		_ = s.Done(nil) // a second end must neither print nor remember
	})
	expect(t, got, "pack", "pack: failed after 3 s")
	if _, err := os.Stat(memory); !os.IsNotExist(err) {
		t.Errorf("a failed step was remembered (stat: %v)", err)
	}
}

func TestMedianOfTheLastFew(t *testing.T) {
	m := openMemory(filepath.Join(t.TempDir(), "durations.json"))
	for _, s := range []int{900, 900, 10, 12, 11, 13, 300} {
		m.record("x", time.Duration(s)*time.Second)
	}
	if got := m.usual("x"); got != 12*time.Second {
		t.Errorf("usual %s, want 12s: the median of the last five", got)
	}
	if got := m.usual("never seen"); got != 0 {
		t.Errorf("usual of an unseen step %s, want 0", got)
	}
}

func TestDamagedMemoryCostsOnlyTheEstimates(t *testing.T) {
	for _, content := range []string{"", "{", "null", `{"x":"y"}`, "[1]"} {
		path := filepath.Join(t.TempDir(), "durations.json")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		m := openMemory(path)
		if got := m.usual("x"); got != 0 {
			t.Errorf("content %q gave usual %s, want 0", content, got)
		}
		m.record("x", time.Second)
		if got := m.usual("x"); got != time.Second {
			t.Errorf("after content %q a new duration was not kept: usual %s", content, got)
		}
	}
}

func TestConcurrentSteps(t *testing.T) {
	var out bytes.Buffer
	d := New(&out, filepath.Join(t.TempDir(), "durations.json"))
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			s := d.Start("step")
			s.Say("working")
			_ = s.Done(nil)
		})
	}
	all.Wait()
	if got := strings.Count(out.String(), "\n"); got != 60 {
		t.Errorf("%d lines, want 60 whole ones", got)
	}
}

// A display that its owner closed is still used by others: nothing panics, nothing is lost, nothing is rewritten.
func TestWhatIsSaidAfterCloseIsPrintedPlainly(t *testing.T) {
	var out bytes.Buffer
	d := New(&out, "")
	d.screen = &screen{out: &out, size: func() (int, int) { return 80, 24 }}
	early := d.Start("early")
	d.Status("a status")
	_, _ = d.Write([]byte("no end of line")) // it never fails
	d.Close()
	d.Close()
	closed := out.Len()
	early.Say("goes on")
	_ = early.Done(nil)
	late := d.Start("late")
	late.Say("works")
	_ = late.Done(errors.New("broken"))
	d.Say("said %s", "late")
	d.Status("another status")
	d.Bars(Bar{Name: "get"})
	fmt.Fprintln(d, "written late")
	if before := out.String()[:closed]; !strings.Contains(before, "no end of line\n") || !strings.HasSuffix(before, eraseBelow) {
		t.Errorf("closing left %q", before)
	}
	got := regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d  `).ReplaceAllString(out.String()[closed:], "")
	expect(t, strings.Split(strings.TrimSuffix(got, "\n"), "\n"), "early: goes on", "early: done in 0 s", "late", "late: works", "late: failed after 0 s",
		"said late", "written late")
}

func TestLinesOfSeveralWriters(t *testing.T) {
	var out bytes.Buffer
	d := New(&out, "")
	for _, part := range []string{"one\ntw", "o\n", "\n", "a \x1b[31mred\x1b[0m\tone\n"} {
		if n, err := d.Write([]byte(part)); n != len(part) || err != nil {
			t.Errorf("Write(%q) = %d, %v", part, n, err)
		}
	}
	if want := "one\ntwo\n\na \uFFFD[31mred\uFFFD[0m one\n"; out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
}

func TestStatusWhereNothingIsRewritten(t *testing.T) {
	got := plain(t, "", func(d *Display) {
		for s := range 25 {
			d.Bars(Bar{"get", uint64(s), 30, "1/s"}, Bar{"post", uint64(s), 30, "1/s"})
			time.Sleep(time.Second)
		}
		d.Status()
		d.Status("the next run") // it has only begun
	})
	expect(t, got, "get 10/30 1/s | post 10/30 1/s", "get 20/30 1/s | post 20/30 1/s")
}

func TestDiscardKeepsQuiet(t *testing.T) {
	d := Discard()
	s := d.Start("x")
	s.Say("y")
	if err := s.Done(nil); err != nil {
		t.Errorf("Done(nil) = %v", err)
	}
	d.Close()
}
