package observe

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/words"
)

// Recorder is what is written to; a history.Recorder is one.
type Recorder interface {
	Append(history.Event) error
	Clock() history.Clock
}

// Observer writes the changes of a cluster into a record, until it is stopped.
type Observer struct {
	cfg    Config
	rec    Recorder
	client dynamic.Interface
	pulse  rest.Interface // for signs of life
	steps  *steps
	feeds  []*feed

	cancel context.CancelFunc
	work   sync.WaitGroup
	ended  chan struct{} // closed when every goroutine has ended
	lost   chan struct{} // closed when the API server was silent for too long
	stop   func() error

	mu        sync.RWMutex
	latest    map[key]*unstructured.Unstructured
	changed   chan struct{} // closed and replaced with every change
	alive     time.Time     // the API server's last sign of life
	cancelled time.Duration // when ctx ended before Stop; 0 otherwise
	err       error         // the first that the record returned
}

// Start observes a cluster until Stop, or until ctx ends: give it one that lives as long as the healing does. It returns when
// the first lists of everything are in the record, and fails where a required resource is not served or not readable.
func Start(ctx context.Context, rec Recorder, cfg Config) (*Observer, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	o, err := newObserver(rec, cfg)
	if err != nil {
		return nil, err
	}
	watching, cancel := context.WithCancel(ctx)
	o.cancel = cancel
	for _, f := range o.feeds {
		o.work.Go(func() { f.run(watching) })
	}
	o.work.Go(func() { o.beat(watching) })
	go func() { o.work.Wait(); close(o.ended) }()
	if err := o.firstLists(ctx); err != nil {
		cancel()
		<-o.ended
		return nil, fmt.Errorf("observe the cluster: %w", err)
	}
	forget := context.AfterFunc(ctx, o.noteCancelled)
	o.stop = sync.OnceValue(func() error { forget(); return o.end() })
	return o, nil
}

func newObserver(rec Recorder, cfg Config) (*Observer, error) {
	conf := rest.CopyConfig(cfg.REST)
	conf.QPS = -1    // client-go's 5 a second would make a relist of everything late
	conf.Timeout = 0 // it would end every watch
	client, err := dynamic.NewForConfig(conf)
	if err != nil {
		return nil, fmt.Errorf("observe the cluster: make a client: %w", err)
	}
	disco, err := discovery.NewDiscoveryClientForConfig(conf)
	if err != nil {
		return nil, fmt.Errorf("observe the cluster: make a client: %w", err)
	}
	o := &Observer{
		cfg: cfg, rec: rec, client: client, pulse: disco.RESTClient(), ended: make(chan struct{}), lost: make(chan struct{}), alive: time.Now(),
		latest: map[key]*unstructured.Unstructured{}, changed: make(chan struct{}),
	}
	o.steps = newSteps(rec.Clock(), o.append)
	for _, k := range cfg.kinds() {
		namespaces := cfg.Namespaces
		if k.Cluster || len(namespaces) == 0 {
			namespaces = []string{""}
		}
		for _, ns := range namespaces {
			o.feeds = append(o.feeds, newFeed(o, k, ns))
		}
	}
	return o, nil
}

// firstLists waits until each feed has its first list in the record, or knows that its resource is not served.
func (o *Observer) firstLists(ctx context.Context) error {
	late := time.NewTimer(o.cfg.Start)
	defer late.Stop()
	for _, f := range o.feeds {
		select {
		case err := <-f.first:
			if err != nil {
				return err
			}
		case <-late.C:
			return fmt.Errorf("list %s: not within %s: saw last: %s", f, words.Span(o.cfg.Start), f.lastError())
		case <-ctx.Done():
			return fmt.Errorf("list %s: %w: saw last: %s", f, context.Cause(ctx), f.lastError())
		}
	}
	return nil
}

// Stop waits until every change that the API server knows of by now is in the record, ends the watches and returns when every
// goroutine has ended. What does not arrive in Config.Drain is a gap in the record. The error is the first the record
// returned. Further calls return the same.
func (o *Observer) Stop() error { return o.stop() }

func (o *Observer) end() error {
	o.mu.RLock()
	cancelled := o.cancelled
	o.mu.RUnlock()
	if cancelled > 0 {
		o.gap(history.Gap{Resource: "*", From: cancelled, Why: "the observation was cancelled", Lost: true})
	} else {
		o.drain()
	}
	o.cancel()
	<-o.ended
	o.steps.finish()
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.err
}

func (o *Observer) noteCancelled() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.cancelled = o.rec.Clock().Now()
}

// drain waits until the watches have delivered what lists made now contain.
func (o *Observer) drain() {
	ctx, cancel := context.WithTimeout(context.Background(), o.cfg.Drain)
	defer cancel()
	var all sync.WaitGroup
	for _, f := range o.feeds {
		all.Go(func() {
			since := o.lastAlive()
			if err := f.catchUp(ctx); err != nil {
				o.gap(history.Gap{Resource: f.Name, Namespace: f.namespace, From: o.rec.Clock().At(since), Lost: true,
					Why: "at the end of the observation: " + err.Error()})
			}
		})
	}
	all.Wait()
}

// gap records a gap that ends now.
func (o *Observer) gap(g history.Gap) {
	g.To = o.rec.Clock().Now()
	o.append(history.Event{Kind: history.KindGap, Gap: &g})
}

func (o *Observer) note(format string, args ...any) {
	o.append(history.Event{Kind: history.KindNote, Note: &history.Note{Text: fmt.Sprintf(format, args...)}})
}

// append records an event. After the first error the record is dead and says so to whoever makes load, and to Stop.
func (o *Observer) append(e history.Event) {
	if err := o.rec.Append(e); err != nil {
		o.mu.Lock()
		o.err = cmp.Or(o.err, err)
		o.mu.Unlock()
	}
}

// Lost is closed when the API server gave no sign of life for Config.Lost: what is waited for would be waited for in vain. The
// observation goes on; a server that comes back is heard again.
func (o *Observer) Lost() <-chan struct{} { return o.lost }

// beat asks the API server for a sign of life and records the times it gave none: changes of such a time were seen late.
func (o *Observer) beat(ctx context.Context) {
	tick := time.NewTicker(o.cfg.Beat)
	defer tick.Stop()
	lose := sync.OnceFunc(func() { close(o.lost) })
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		asked := time.Now()
		err := o.ask(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			o.lives(asked)
		case time.Since(o.lastAlive()) > o.cfg.Lost:
			lose()
		}
	}
}

// ask gets the version of the API server, at most for ten beats: then it is asked again.
func (o *Observer) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*o.cfg.Beat)
	defer cancel()
	return o.pulse.Get().AbsPath("/version").MaxRetries(0).Do(ctx).Error()
}

// lives notes an answer to a question. Where the answer took long, or the last answer is longer ago than a beat explains, that
// time is a gap.
func (o *Observer) lives(asked time.Time) {
	o.mu.Lock()
	last := o.alive
	o.alive = time.Now()
	silent := o.alive.Sub(last) - o.cfg.Beat
	if slow := o.alive.Sub(asked); slow > silent {
		last, silent = asked, slow
	}
	o.mu.Unlock()
	if silent > o.cfg.Tolerance {
		o.gap(history.Gap{Resource: "*", From: o.rec.Clock().At(last), Why: "the API server gave no sign of life"})
	}
}

func (o *Observer) lastAlive() time.Time {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.alive
}

// Absent names the resources that the cluster does not serve (yet).
func (o *Observer) Absent() []string {
	var names []string
	for _, f := range o.feeds {
		if f.isAbsent() && !slices.Contains(names, f.Name) {
			names = append(names, f.Name)
		}
	}
	return names
}

func (f *feed) String() string {
	if f.namespace == "" {
		return f.Name
	}
	return strings.Join([]string{f.Name, "in", f.namespace}, " ")
}
