// Package supervise runs a command in a child process, so that a crash is never taken for a verdict.
//
// A panic in any goroutine, also in one that a library started, and a fatal error such as concurrent map writes end a Go program with
// exit code 2. No code of the program can change that, so its parent does: the program executes itself, and its first process does
// nothing but pass signals on and see how the second one ended. An end counts as orderly only if the child announced its exit code.
//
// The child's standard error is a file descriptor of its own; descriptor 2, where Go writes crashes to, leads to the parent. So a stack
// never lands on the terminal, and neither does what a library writes to os.Stderr by itself while a display is on it.
package supervise

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	// mark is the environment variable that tells a child the process id of its supervisor.
	mark = "ROLLPROOF_SUPERVISOR"
	// patience is how long a child that was interrupted twice may take to end before it is killed.
	patience = 5 * time.Second
	// Echo is how soon after a signal the same one is no second demand: `timeout`, for one, sends its signal to the process and then to its group.
	Echo = 200 * time.Millisecond
	// mostStray bounds what is kept of what the child writes to descriptor 2: the stacks of some hundred thousand goroutines.
	mostStray = 64 << 20
)

// What the child finds besides standard input, output and error.
const (
	stderrFD = iota + 3 // the real standard error
	ordersFD            // a byte for each signal that the supervisor got: its number
	reportFD            // one JSON object after another: report
)

// report is what a child tells its supervisor.
type report struct {
	Recording string `json:"recording,omitempty"` // directory of the run that has just begun
	Exit      *int   `json:"exit,omitempty"`      // the exit code that follows now
	Abandoned bool   `json:"abandoned,omitempty"` // with Exit: by a second signal, with nothing put in order
}

// End is how a child ended that was not in order.
type End struct {
	Why       string // in a few words: a crash, a signal
	Stack     []byte // what Go wrote of a crash; nil where it was none
	Recording string // directory of the run it was recording, or had recorded last; empty without one
}

// Run executes this program again with the same arguments, and returns its exit code. end is nil if the child ended in order; the exit
// code means nothing otherwise.
func Run() (code int, end *End, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, nil, fmt.Errorf("find this program, to run it under supervision: %w", err)
	}
	s := &supervisor{signals: make(chan os.Signal, 8), ended: make(chan struct{})}
	signal.Notify(s.signals, append(endings(), syscall.SIGQUIT)...)
	defer signal.Stop(s.signals)
	// A reader that is gone makes writing to standard error fail. It must not end this process: it has an exit code to pass on.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	if err := s.start(self); err != nil {
		return 0, nil, fmt.Errorf("start %s under supervision: %w", self, err)
	}
	return s.wait()
}

// endings are the signals that ask a command to end. A hangup that nohup has switched off stays so.
func endings() []os.Signal {
	all := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		all = append(all, syscall.SIGHUP)
	}
	return all
}

type supervisor struct {
	signals chan os.Signal
	ended   chan struct{}
	cmd     *exec.Cmd
	stray   bounded
	orders  io.WriteCloser
	reports io.ReadCloser

	told   report // what the child has told, field by field
	killed bool   // by us: it did not end
	work   sync.WaitGroup
}

func (s *supervisor) start(self string) error {
	ordersOut, ordersIn, err := os.Pipe()
	if err != nil {
		return err
	}
	reportsOut, reportsIn, err := os.Pipe()
	if err != nil {
		return errors.Join(err, ordersOut.Close(), ordersIn.Close())
	}
	s.orders, s.reports = ordersIn, reportsOut
	s.cmd = exec.Command(self, os.Args[1:]...)
	s.cmd.Args[0] = os.Args[0]
	s.cmd.Env = append(os.Environ(), mark+"="+strconv.Itoa(os.Getpid()))
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = os.Stdin, os.Stdout, &s.stray
	s.cmd.ExtraFiles = []*os.File{stderrFD - 3: os.Stderr, ordersFD - 3: ordersOut, reportFD - 3: reportsIn}
	s.cmd.WaitDelay = patience // should a process that the child started hold descriptor 2
	err = s.cmd.Start()
	if closed := errors.Join(ordersOut.Close(), reportsIn.Close()); err == nil {
		err = closed
	}
	return err
}

func (s *supervisor) wait() (int, *End, error) {
	s.work.Go(s.listen)
	s.work.Go(s.relay)
	waited := s.cmd.Wait() // what it says is in ProcessState, too
	close(s.ended)
	s.work.Wait()
	_ = s.orders.Close()
	if s.cmd.ProcessState == nil {
		return 0, nil, fmt.Errorf("wait for %s: %w", s.cmd.Path, waited)
	}
	code := s.cmd.ProcessState.ExitCode()
	if s.told.Exit != nil && *s.told.Exit == code && !s.told.Abandoned {
		_, _ = os.Stderr.Write(s.stray.text()) // of a library, kept off the display until now
		return code, nil, nil
	}
	return 0, s.disorder(), nil
}

// disorder says how the child ended.
func (s *supervisor) disorder() *End {
	end := &End{Recording: s.told.Recording}
	state := s.cmd.ProcessState
	status, isStatus := state.Sys().(syscall.WaitStatus)
	switch {
	case s.told.Abandoned:
		end.Why = "ended at once, by a second signal"
	case s.killed:
		end.Why = fmt.Sprintf("killed: it had not ended %v after a second signal", patience)
	case isStatus && status.Signaled():
		end.Why = "ended by a signal from outside: " + status.Signal().String()
		if status.Signal() == syscall.SIGKILL {
			end.Why += " (kill -9, or the system ran out of memory)"
		}
	default:
		end.Why, end.Stack = "crashed: "+firstLine(s.stray.text()), s.stray.text()
		if len(end.Stack) == 0 { // it was no crash of Go: a library has called os.Exit
			end.Why = fmt.Sprintf("ended in the middle of its work, with exit code %d", state.ExitCode())
		}
	}
	return end
}

// listen takes what the child tells, until it is gone.
func (s *supervisor) listen() {
	defer s.reports.Close()
	in := json.NewDecoder(s.reports)
	for {
		var r report
		if in.Decode(&r) != nil {
			return // the child is gone, maybe in the middle of a sentence
		}
		if r.Recording != "" {
			s.told.Recording = r.Recording
		}
		if r.Exit != nil {
			s.told.Exit, s.told.Abandoned = r.Exit, r.Abandoned
		}
	}
}

// relay passes signals on until the child is gone. They go through a pipe: a Ctrl-C reaches both processes by itself, and the child can
// tell one that both got from two.
func (s *supervisor) relay() {
	var late <-chan time.Time
	var demand demands
	for count := 0; ; {
		select {
		case got := <-s.signals:
			if got == syscall.SIGQUIT {
				_ = s.cmd.Process.Signal(got) // its goroutines are what is asked for; one that is gone has none
				continue
			}
			if number, ok := got.(syscall.Signal); ok {
				_, _ = s.orders.Write([]byte{byte(number)}) // a child that is gone needs none
			}
			if demand.isNew(got) {
				if count++; count == 2 {
					late = time.After(patience)
				}
			}
		case <-late:
			s.killed = true
			_ = s.cmd.Process.Kill() // one that is gone needs none
			late = nil
		case <-s.ended:
			return
		}
	}
}

// demands tells a demand to end from the echo of the one before.
type demands struct {
	last os.Signal
	at   time.Time
}

func (d *demands) isNew(got os.Signal) bool {
	now := time.Now()
	echo := got == d.last && now.Sub(d.at) < Echo
	d.last, d.at = got, now
	return !echo
}

// bounded keeps the first mostStray bytes.
type bounded struct{ kept bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	b.kept.Write(p[:min(len(p), mostStray-b.kept.Len())])
	return len(p), nil
}

func (b *bounded) text() []byte { return b.kept.Bytes() }

func firstLine(text []byte) string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(text), []byte("\n"))
	return string(line)
}
