package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"bitvault.dev/rollproof/cmd/rollproof/supervise"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/run"
	"bitvault.dev/rollproof/harness/wait"
)

// newCrashCommand crashes in the middle of its work, in one of the ways there are. "none" only writes to descriptor 2, as a library does.
func newCrashCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "crash HOW DIR", Args: cobra.ExactArgs(2), Annotations: map[string]string{makesCluster: "yes"}}
	cmd.Flags().String("name", "", "")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		rec, err := history.Create(args[1], history.Run{ID: "crash", Scenario: "crash"}, history.NewClock())
		if err != nil {
			return err
		}
		supervise.Recording(cmd.Context(), rec.Dir())
		for _, phase := range []history.Phase{history.Began, history.Landed} {
			for _, d := range []history.Disturbance{{ID: "1", Name: "drain", Target: "worker2"}, {ID: "2", Name: "release", Target: "v2"}} {
				d.Phase = phase
				err = errors.Join(err, rec.Append(history.Event{Kind: history.KindDisturbance, Disturbance: &d}))
			}
		}
		err = errors.Join(err, rec.Append(history.Event{Kind: history.KindDisturbance, Disturbance: &history.Disturbance{ID: "2", Phase: history.Healed}}))
		displayOf(cmd).Start("a step that never ends")
		displayOf(cmd).Status("a status that nobody takes off")
		return errors.Join(err, crash(cmd.Context(), args[0]))
	}
	return cmd
}

func crash(ctx context.Context, how string) error {
	forever := make(chan struct{})
	switch how {
	case "main":
		panic("boom")
	case "goroutine":
		go func() { panic("boom") }()
	case "library": // a callback in a goroutine of net/http
		trace := &httptrace.ClientTrace{ConnectStart: func(string, string) { panic("boom") }}
		request, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodGet, "http://127.0.0.1:1/", nil)
		if err != nil {
			return err
		}
		_, err = http.DefaultClient.Do(request)
		return err
	case "maps":
		m := map[int]int{}
		for range 8 {
			go func() {
				for i := 0; ; i++ {
					m[i%8] = i
				}
			}()
		}
	case "runner": // caught by the runner, so that it can heal
		return &run.PanicError{Value: "boom", Stack: []byte("the stack")}
	case "exit": // a library that ends the process by itself
		os.Exit(exitPass)
	case "none":
		_, err := os.NewFile(2, "descriptor 2").WriteString("a library says hello\n")
		return err
	}
	<-forever
	return nil
}

// A crash is one line, exit code 3, a stack in a file, and what is left to heal, whoever crashed.
func TestTerminalCrash(t *testing.T) {
	for how, why := range map[string]string{
		"main": "crashed: panic: boom", "goroutine": "crashed: panic: boom", "library": "crashed: panic: boom", "maps": "crashed: fatal error: concurrent map",
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "run")
			// What the race detector says of "maps" goes to a file: the runtime's own end is what is tested, and either may come first.
			env := offline(t, "GORACE=log_path="+filepath.Join(t.TempDir(), "race"))
			term := inTerminal(t, env, "crash", how, dir, "--name", "mine")
			text := flat(term.ends(exitCouldNotRun))
			for _, want := range []string{"rollproof: " + why, "left to heal: drain of worker2; ", "the record is in " + dir, "`rollproof cluster down --name mine` removes it"} {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not on the screen:\n%s", want, text)
				}
			}
			if strings.Contains(text, "a status that nobody") {
				t.Errorf("the status is left:\n%s", text)
			}
			_, after, _ := strings.Cut(text, "the stack is in ")
			file, _, _ := strings.Cut(after, ";")
			if stack, err := os.ReadFile(file); err != nil || !strings.Contains(string(stack), "goroutine ") {
				t.Errorf("the file that is named holds %q, %v", stack, err)
			}
		})
	}
}

// What is no crash of a goroutine: a panic that the runner caught, a library that ends the process, one that writes where it should not.
func TestTerminalEndsThatAreNoCrash(t *testing.T) {
	for how, c := range map[string]struct {
		code int
		want string
	}{
		"runner": {exitCouldNotRun, "rollproof: panic: boom; the stack is in "},
		"exit":   {exitCouldNotRun, "rollproof: ended in the middle of its work, with exit code 0"},
		"none":   {exitPass, "a library says hello"},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			// What the race detector says of "maps" goes to a file: the runtime's own end is what is tested, and either may come first.
			env := offline(t, "GORACE=log_path="+filepath.Join(t.TempDir(), "race"))
			term := inTerminal(t, env, "crash", how, filepath.Join(t.TempDir(), "run"))
			if text := flat(term.ends(c.code)); strings.Count(text, c.want) != 1 {
				t.Errorf("%q is not on the screen once:\n%s", c.want, text)
			}
		})
	}
}

// Where there is no terminal a crash is one line, too.
func TestCrashInAPipe(t *testing.T) {
	cmd := exec.Command(os.Args[0], "crash", "goroutine", filepath.Join(t.TempDir(), "run"))
	cmd.Env = append(offline(t), asCommand+"=1")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitCouldNotRun || strings.ContainsRune(string(out), 0x1b) {
		t.Errorf("%v, printed\n%s", err, out)
	}
	if lines := strings.Split(strings.TrimSpace(string(out)), "\n"); len(lines) != 2 || !strings.HasPrefix(lines[1], "rollproof: crashed: panic: boom; ") {
		t.Errorf("printed, after its step, not one line:\n%s", out)
	}
}

// newLingerCommand works until it is interrupted, and then until a GET of the URL is answered. It says its process id first.
func newLingerCommand() *cobra.Command {
	return &cobra.Command{Use: "linger URL", Args: cobra.ExactArgs(1), Annotations: map[string]string{onInterrupt: "an answer is waited for, at most a minute"},
		RunE: func(cmd *cobra.Command, args []string) error {
			displayOf(cmd).Say("pid=%d.", os.Getpid())
			displayOf(cmd).Status("lingering")
			<-cmd.Context().Done()
			answer, err := http.Get(args[0])
			if err != nil {
				return err
			}
			return errors.Join(answer.Body.Close(), context.Cause(cmd.Context()))
		}}
}

// lingering starts newLingerCommand, and returns what lets it end, and its process id.
func lingering(t *testing.T) (term *terminal, release func(), pid int) {
	t.Helper()
	answered := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-answered:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	term = inTerminal(t, offline(t), "linger", server.URL)
	term.shows("lingering")
	_, after, _ := strings.Cut(term.text(), "pid=")
	number, _, _ := strings.Cut(after, ".")
	pid, err := strconv.Atoi(number)
	if err != nil {
		t.Fatalf("no process id on the screen: %v\n%s", err, term.text())
	}
	return term, func() { close(answered) }, pid
}

// stopped waits until all threads of a process that was told to stop have: until then one of them may still take what it is sent.
func stopped(t *testing.T, pid int) {
	t.Helper()
	err := wait.Until(t.Context(), fmt.Sprintf("the threads of process %d to stop", pid), time.Minute, time.Millisecond, func(context.Context) (bool, string, error) {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
		if err != nil || len(threads) == 0 {
			return false, "no thread", err
		}
		for _, thread := range threads {
			status, err := os.ReadFile(thread)
			if err != nil || !strings.Contains(string(status), "\nState:\tT") {
				return false, thread + " runs", err
			}
		}
		return true, "", nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The first signal ends a command in order, the second at once, whichever process of the two it reaches.
func TestTerminalSignals(t *testing.T) {
	ways := map[string]func(term *terminal, child int){
		"Ctrl-C, which reaches both":      func(term *terminal, _ int) { term.press(ctrlC) },
		"SIGTERM to what the shell knows": func(term *terminal, _ int) { term.signal(syscall.SIGTERM) },
		"SIGHUP to what the shell knows":  func(term *terminal, _ int) { term.signal(syscall.SIGHUP) },
		"SIGTERM to the child": func(term *terminal, child int) {
			if err := syscall.Kill(child, syscall.SIGTERM); err != nil {
				term.t.Fatal(err)
			}
		},
	}
	for name, send := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			term, release, child := lingering(t)
			send(term, child)
			term.shows("an answer is waited for, at most a minute")
			release()
			if text := flat(term.ends(exitCouldNotRun)); !strings.Contains(text, " signal received") || strings.Contains(text, "at once, by a second") {
				t.Errorf("it ended with\n%s", text)
			}
		})
		t.Run(name+", twice", func(t *testing.T) {
			t.Parallel()
			term, _, child := lingering(t)
			send(term, child)
			term.shows("an answer is waited for")
			_ = wait.Pause(t.Context(), 2*supervise.Echo) // sooner it would be the first one's echo
			send(term, child)
			if text := flat(term.ends(exitCouldNotRun)); !strings.Contains(text, "rollproof: ended at once, by a second signal") {
				t.Errorf("it ended with\n%s", text)
			}
		})
	}
	t.Run("a child that does not listen", func(t *testing.T) {
		t.Parallel()
		if signal.Ignored(syscall.SIGHUP) {
			t.Skip("this test runs under nohup: a hangup is no second signal then")
		}
		term, _, child := lingering(t)
		if err := syscall.Kill(child, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = syscall.Kill(child, syscall.SIGKILL) }) // should it be there still: one that is stopped ends by nothing else
		stopped(t, child)
		term.signal(syscall.SIGTERM)
		term.signal(syscall.SIGHUP) // two of one kind may become one on their way
		if text := flat(term.ends(exitCouldNotRun)); !strings.Contains(text, "rollproof: killed: it had not ended") {
			t.Errorf("it ended with\n%s", text)
		}
	})
	t.Run("the child is killed", func(t *testing.T) {
		t.Parallel()
		term, _, child := lingering(t)
		if err := syscall.Kill(child, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if text := flat(term.ends(exitCouldNotRun)); !strings.Contains(text, "rollproof: ended by a signal from outside: killed") {
			t.Errorf("it ended with\n%s", text)
		}
	})
	t.Run("the supervisor is killed", func(t *testing.T) {
		t.Parallel()
		term, _, _ := lingering(t)
		term.signal(syscall.SIGKILL)
		term.gone() // nobody has the terminal open any more: the child is gone, too
	})
}

// A reader that is gone must not end what has something to heal.
func TestClosedPipeIsNoEnd(t *testing.T) {
	cmd := exec.Command(os.Args[0], "list")
	cmd.Env = append(offline(t), asCommand+"=1")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = w
	if err := errors.Join(r.Close(), cmd.Run(), w.Close()); err != nil {
		t.Errorf("list into a closed pipe: %v", err)
	}
}

// Nor must one of standard error take the place of a verdict: what a library said is written there by the supervisor, at the very end.
func TestClosedStandardErrorIsNoVerdict(t *testing.T) {
	cmd := exec.Command(os.Args[0], "crash", "none", filepath.Join(t.TempDir(), "run"))
	cmd.Env = append(offline(t), asCommand+"=1")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = w
	if err := errors.Join(r.Close(), cmd.Run(), w.Close()); err != nil {
		t.Errorf("a command that ends in order, with standard error into a closed pipe: %v", err)
	}
}

func TestUnhealedReadsWhatIsThere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	rec, err := history.Create(dir, history.Run{ID: "x", Scenario: "x"}, history.NewClock())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []history.Disturbance{
		{ID: "1", Name: "release", Target: "v2", Phase: history.Began}, {ID: "2", Name: "drain", Target: "w", Phase: history.Began},
		{ID: "1", Name: "release", Target: "v2", Phase: history.Unhealed},
	} {
		if err := rec.Append(history.Event{Kind: history.KindDisturbance, Disturbance: &d}); err != nil {
			t.Fatal(err)
		}
	}
	events := filepath.Join(dir, "events.jsonl")
	f, err := os.OpenFile(events, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, `{"at":1,"ki`); err != nil { // a kill in the middle of a line
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	left, err := unhealed(dir)
	if !slices.Equal(left, []string{"drain of w", "release of v2"}) {
		t.Errorf("left %q, %v", left, err)
	}
}
