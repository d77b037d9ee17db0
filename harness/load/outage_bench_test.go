//go:build bench

package load

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

const (
	sideBySide   = 20 // tries at once
	outageLength = 10 * time.Millisecond
	envTries     = "ROLLPROOF_BENCH_TRIES"
)

// outage is what the server process tells of an outage it made.
type outage struct {
	Server   int
	Begin    time.Time // the first connection may have been broken
	Full     time.Time // from here on nobody was served
	FullTill time.Time // to here
	End      time.Time // everybody is served again
	Err      string
}

// serveOutages serves on sideBySide addresses, which it prints, and makes a full outage of the one whose number it reads.
func serveOutages() error {
	var servers []*outageServer
	for port := 21000; len(servers) < sideBySide; port++ { // below the ports that connections get, so that they are free again
		if port > 30000 {
			return errors.New("no free ports between 21000 and 30000")
		}
		s := &outageServer{addr: fmt.Sprintf("127.0.0.1:%d", port), conns: map[net.Conn]bool{}}
		s.http = &http.Server{Handler: http.HandlerFunc(app), ConnState: s.track}
		if s.listen() != nil {
			continue
		}
		servers = append(servers, s)
		fmt.Println(s.addr)
	}
	out := json.NewEncoder(os.Stdout)
	var mu sync.Mutex
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			return err
		}
		go func() {
			o := servers[n].fail()
			o.Server = n
			mu.Lock()
			defer mu.Unlock()
			_ = out.Encode(o) // a parent that is gone needs no answer
		}()
	}
	return nil
}

type outageServer struct {
	addr     string
	http     *http.Server
	listener net.Listener

	mu    sync.Mutex
	conns map[net.Conn]bool
}

func (s *outageServer) listen() (err error) {
	if s.listener, err = net.Listen("tcp", s.addr); err != nil {
		return err
	}
	go func() { _ = s.http.Serve(s.listener) }() // ends when the listener is closed
	return nil
}

func (s *outageServer) track(conn net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state == http.StateClosed || state == http.StateHijacked {
		delete(s.conns, conn)
	} else {
		s.conns[conn] = true
	}
}

// fail refuses every new connection and resets every open one, for outageLength or a little longer, never shorter.
func (s *outageServer) fail() outage {
	o := outage{Begin: time.Now()}
	closed := s.listener.Close()
	s.mu.Lock()
	for conn := range s.conns {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
	s.mu.Unlock()
	o.Full = time.Now()
	over := time.NewTimer(outageLength)
	<-over.C
	o.FullTill = time.Now()
	if err := errors.Join(closed, s.listen()); err != nil {
		o.Err = err.Error()
	}
	o.End = time.Now()
	return o
}

// outages is the server process as the tests see it.
type outages struct {
	urls  []string
	stdin io.Writer
	told  []chan outage
	mu    sync.Mutex
}

func startOutages(t testing.TB) *outages {
	t.Helper()
	cmd := self(t.Context(), "outages")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	o := &outages{stdin: stdin}
	lines := bufio.NewScanner(stdout)
	for range sideBySide {
		if !lines.Scan() {
			t.Fatal("the server process said no address")
		}
		o.urls = append(o.urls, "http://"+lines.Text()+"/")
		o.told = append(o.told, make(chan outage, 1))
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		for lines.Scan() {
			var one outage
			if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
				t.Errorf("the server process said %q", lines.Text())
				return
			}
			o.told[one.Server] <- one
		}
	})
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		reading.Wait()
		_ = cmd.Wait() // it was killed
	})
	return o
}

// make has server n fail, and says when it did.
func (o *outages) make(ctx context.Context, n int) (outage, error) {
	o.mu.Lock()
	_, err := fmt.Fprintln(o.stdin, n)
	o.mu.Unlock()
	if err != nil {
		return outage{}, err
	}
	select {
	case one := <-o.told[n]:
		if one.Err != "" {
			return one, errors.New(one.Err)
		}
		return one, nil
	case <-ctx.Done():
		return outage{}, ctx.Err()
	}
}

// try is one run of the three arms at 300 hits a second in all.
type try struct {
	failed  []history.Hit
	masked  int
	hits    int
	all     []history.Hit
	lag     time.Duration // worst start lag
	busy    float64
	started time.Time
}

func runTry(t *testing.T, url string, length time.Duration, during func(context.Context) error) try {
	r := record(t)
	g, err := New(r.rec, arms(t, url, "get", "post", "post-close"))
	if err != nil {
		t.Fatal(err)
	}
	w, err := g.Start(t.Context(), Plan{Pacing: Constant{300}, Length: length})
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(during(t.Context()), w.Wait(), r.rec.Close(history.EndFinished, ""))
	if err != nil {
		t.Fatal(err)
	}
	r.assertAccounted()
	result := try{started: r.rec.Clock().Started()}
	var all []history.Hit
	for _, hits := range r.hits() {
		for _, h := range hits {
			all = append(all, h)
			result.masked += h.Masked
			if h.Failed() {
				result.failed = append(result.failed, h)
			}
		}
	}
	result.hits, result.all = len(all), all
	for _, windows := range r.ended() {
		result.lag = max(result.lag, windows[0].Health.LagMax)
		result.busy = max(result.busy, windows[0].Health.CPUBusy)
	}
	return result
}

// blindTime is the longest time around an outage in which no hit both began and ended: a full outage that is longer cannot have been
// missed. That hits begin often is not enough: one that began during an outage and got to its connection after it has seen nothing.
func (r *try) blindTime(o outage) time.Duration {
	const around = 30 * time.Millisecond
	from, to := o.Full.Add(-around).Sub(r.started), o.FullTill.Add(around).Sub(r.started)
	slices.SortFunc(r.all, func(a, b history.Hit) int { return int(b.At - a.At) }) // latest first
	earliest, blind := to, time.Duration(0)
	for _, h := range r.all {
		if h.At > to || h.At < from {
			continue
		}
		blind = max(blind, earliest-h.At) // from just after this one began, to the end of the first that began later
		earliest = min(earliest, h.End())
	}
	return blind
}

// sideways runs tries in batches of sideBySide and hands over each as it ends.
func sideways(t *testing.T, tries int, one func(t *testing.T, server int)) {
	for done := 0; done < tries; done += sideBySide {
		t.Run(fmt.Sprintf("from %d", done), func(t *testing.T) {
			for server := range min(sideBySide, tries-done) {
				t.Run(strconv.Itoa(server), func(t *testing.T) {
					t.Parallel()
					one(t, server)
				})
			}
		})
	}
}

// TestBenchOutageOfTenMillisecondsIsAlwaysFound: at 300 hits a second, of all arms together, in 200 tries. A try whose own record shows a
// time as long as the outage in which no hit both began and ended promises nothing: on a busy machine it is made again.
func TestBenchOutageOfTenMillisecondsIsAlwaysFound(t *testing.T) {
	tries := benchSetting(envTries, 200, strconv.Atoi)
	servers := startOutages(t)
	var (
		mu                    sync.Mutex
		lengths, lags, blinds []time.Duration
		valid, found, starved int
		starvedFound, fewest  = 0, 1 << 30
		busiest, reasons      = 0.0, map[string]int{}
	)
	for made := 0; valid < tries && made < 5*tries && !t.Failed(); made += sideBySide {
		sideways(t, sideBySide, func(t *testing.T, server int) {
			var o outage
			result := runTry(t, servers.urls[server], 1500*time.Millisecond, func(ctx context.Context) (err error) {
				moment := time.NewTimer(400*time.Millisecond + rand.N(700*time.Millisecond))
				<-moment.C
				o, err = servers.make(ctx, server)
				return err
			})
			for _, h := range result.failed {
				if from, to := result.started.Add(h.At), result.started.Add(h.End()); from.After(o.End) || to.Before(o.Begin) {
					t.Errorf("a failure that no outage explains: %s to %s, outage %s to %s: %+v", from, to, o.Begin, o.End, h)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			busiest = max(busiest, result.busy)
			length := o.FullTill.Sub(o.Full)
			blind := result.blindTime(o)
			if blind >= length {
				starved++
				if len(result.failed) > 0 {
					starvedFound++
				}
				return
			}
			valid++
			lengths, lags, blinds = append(lengths, length), append(lags, result.lag), append(blinds, blind)
			fewest = min(fewest, len(result.failed))
			for _, h := range result.failed {
				reasons[h.Class.String()+" "+h.Reason]++
			}
			if len(result.failed) == 0 {
				t.Errorf("an outage of %s was not found; longest blind time %s, worst lag %s", length, blind, result.lag)
				return
			}
			found++
		})
	}
	t.Logf("found %d of %d outages; of %d more, in which the generator was starved, %d", found, valid, starved, starvedFound)
	if valid < tries {
		t.Errorf("inconclusive: only %d of %d tries had a generator that ran: the machine is too busy", valid, tries)
	}
	if valid > 0 {
		t.Logf("full outage %s; failed hits at least %d each; longest blind time %s; worst start lag %s", ofMany(lengths), fewest, ofMany(blinds), ofMany(lags))
	}
	t.Logf("failures: %v; machine at most %.0f %% busy; %s", reasons, busiest*100, benchMachine())
}

func ofMany(all []time.Duration) string {
	slices.Sort(all)
	return fmt.Sprintf("median %s (%s to %s)", all[len(all)/2], all[0], all[len(all)-1])
}

// TestBenchCleanRunsHaveNoFindings: 200 runs of 5 s at 300 hits a second without a fault, and not one failure.
func TestBenchCleanRunsHaveNoFindings(t *testing.T) {
	tries := benchSetting(envTries, 200, strconv.Atoi)
	servers := startOutages(t)
	var mu sync.Mutex
	hits, failed, masked, busiest := 0, 0, 0, 0.0
	sideways(t, tries, func(t *testing.T, server int) {
		result := runTry(t, servers.urls[server], 5*time.Second, func(context.Context) error { return nil })
		for _, h := range result.failed {
			t.Errorf("a finding in a clean run: %+v", h)
		}
		mu.Lock()
		defer mu.Unlock()
		hits += result.hits
		failed += len(result.failed)
		masked += result.masked
		busiest = max(busiest, result.busy)
	})
	t.Logf("%d clean runs: %d hits, %d failed, %d masked; machine at most %.0f %% busy; %s", tries, hits, failed, masked, busiest*100, benchMachine())
}
