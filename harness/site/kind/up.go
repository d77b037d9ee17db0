package kind

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	kind "sigs.k8s.io/kind/pkg/cluster"
	"sigs.k8s.io/kind/pkg/exec"
	"sigs.k8s.io/kind/pkg/log"

	"bitvault.dev/rollproof/harness/progress"
	"bitvault.dev/rollproof/harness/wait"
	"bitvault.dev/rollproof/harness/words"
)

const (
	cleanUpTimeout = 3 * time.Minute  // removing three nodes takes 2-4 s; a loaded engine takes longer
	removeTimeout  = 90 * time.Second // until containers are gone
	cutTimeout     = 60 * time.Second // how long kind may go on after its nodes were removed under it
)

// EndsWithin is how long Up goes on at most once it is interrupted: kind is cut off, and what was made is removed.
const EndsWithin = cutTimeout + cleanUpTimeout

// UpOptions say which cluster is wanted.
type UpOptions struct {
	Name       string // "" is DefaultName
	Config     *Config
	MinWorkers int    // what the caller needs, with NeededBy naming it in the error
	NeededBy   string //
	Memory     uint64 // bytes that what the caller installs will take, besides the nodes
	Retain     bool   // on failure or cancel keep what was made
	ExportTo   string // kubeconfig of the user's that gets an entry as well, "" for none
	LogsDir    string // folder below which a failure's logs are put; "" is "out"
}

// UpReport says what Up did.
type UpReport struct {
	Existing bool     // the cluster was there, healthy and the same: nothing was made
	Cleaned  []string // what earlier, killed runs had left and was removed first
	Results  []Result // of the readiness checks, empty for an existing cluster
}

// Up makes a cluster and returns when every readiness check passed, or finds the same cluster healthy. On failure logs are collected
// (the error names the folder) and everything made is removed, unless Retain; on cancel everything is removed as well.
func (m *Manager) Up(ctx context.Context, o UpOptions) (*Cluster, UpReport, error) {
	var report UpReport
	if o.Name == "" {
		o.Name = DefaultName
	}
	if err := checkName(o.Name); err != nil {
		return nil, report, err
	}
	if err := o.Config.RequireWorkers(o.MinWorkers, o.NeededBy); err != nil {
		return nil, report, err
	}
	step := m.display.Start("clean up after killed runs")
	cleaned, err := m.Sweep(ctx, step.Say)
	report.Cleaned = cleaned
	if step.Done(err) != nil {
		return nil, report, err
	}
	unlock, err := m.lockShown(ctx, o.Name)
	if err != nil {
		return nil, report, err
	}
	defer unlock()
	record, found, err := m.ownedRecord(ctx, o.Name)
	if err != nil {
		return nil, report, err
	}
	if !found {
		if err := m.preflight(ctx, o.Config, o.Memory); err != nil {
			return nil, report, err
		}
	}
	build, err := m.load(ctx)
	if err != nil {
		return nil, report, err
	}
	if found {
		report.Existing = true
		c, err := m.reuse(ctx, record, o, build)
		return c, report, err
	}
	c, results, err := m.create(ctx, o, build)
	report.Results = results
	return c, report, err
}

// lockShown takes a cluster's lock, and shows a step only when it has to wait.
func (m *Manager) lockShown(ctx context.Context, name string) (func(), error) {
	var step *progress.Step
	unlock, err := m.records.lock(ctx, name, func(format string, args ...any) {
		step = m.display.Start("wait for another process")
		step.Say(format, args...)
	})
	if step != nil {
		step.Done(err)
	}
	return unlock, err
}

// ownedRecord returns the record of a cluster of ours. It refuses names that another tool's cluster has.
func (m *Manager) ownedRecord(ctx context.Context, name string) (Record, bool, error) {
	record, found, err := m.records.get(name)
	if err != nil || found {
		return record, found, err
	}
	nodes, err := m.engine.containers(ctx, labelKind+"="+name)
	if err != nil {
		return Record{}, false, err
	}
	if len(nodes) > 0 {
		return Record{}, false, fmt.Errorf("a kind cluster called %s exists that rollproof did not make here: choose another --name, or remove it with `kind delete cluster --name %s`", name, name)
	}
	return Record{}, false, nil
}

// ErrUnhealthy is a cluster of ours that is there and cannot be used any more, after a restart of the machine for instance.
var ErrUnhealthy = errors.New("not healthy")

// loaded are the images a cluster is made of, in the engine.
type loaded struct{ nodeTag, nodeKey, registryTag string }

func (m *Manager) load(ctx context.Context) (loaded, error) {
	var out loaded
	step := m.display.Start("images")
	var err error
	if out.nodeTag, out.nodeKey, err = m.images.Load(ctx, nodeComponent); err == nil {
		out.registryTag, _, err = m.images.Load(ctx, registryComponent)
	}
	return out, step.Done(err)
}

// reuse takes a recorded cluster if it is the one that is wanted and is healthy.
func (m *Manager) reuse(ctx context.Context, r Record, o UpOptions, build loaded) (*Cluster, error) {
	again := fmt.Sprintf("run `rollproof cluster down --name %s` and then up again", r.Name)
	switch {
	case r.Phase != Ready:
		return nil, fmt.Errorf("cluster %s is a broken one that --retain kept: %s", r.Name, again)
	case r.ConfigSum != o.Config.Sum:
		return nil, fmt.Errorf("cluster %s was made from another configuration than %s: %s", r.Name, o.Config.Path, again)
	case r.NodeKey != build.nodeKey:
		return nil, fmt.Errorf("cluster %s was made from another node image (%s, now %s): %s", r.Name, short(r.NodeKey), short(build.nodeKey), again)
	}
	c, err := m.handle(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("cluster %s exists but is %w: %w; %s", r.Name, ErrUnhealthy, err, again)
	}
	ours, err := c.CreatedByUs(ctx)
	if err != nil { // no API server answers: its nodes were removed by hand, for instance
		return nil, fmt.Errorf("cluster %s exists but is %w: %w; %s", r.Name, ErrUnhealthy, err, again)
	}
	if !ours {
		return nil, fmt.Errorf("cluster %s exists but is not the one that was made under this name: %s", r.Name, again)
	}
	if err := c.waitNodesReady(ctx, 20*time.Second); err != nil {
		return nil, fmt.Errorf("cluster %s exists but is %w: %w; %s", r.Name, ErrUnhealthy, err, again)
	}
	if err := c.CheckPath(ctx); err != nil {
		return nil, fmt.Errorf("cluster %s exists but is %w: %w; %s", r.Name, ErrUnhealthy, err, again)
	}
	return c, m.export(&r, o.ExportTo)
}

// create makes the cluster. From the moment the record is written, whatever way this function is left without success removes
// everything again or says how to.
func (m *Manager) create(ctx context.Context, o UpOptions, build loaded) (c *Cluster, results []Result, err error) {
	record := Record{
		Name: o.Name, Phase: Creating, Owner: m.owner, Retain: o.Retain, ConfigSum: o.Config.Sum, NodeKey: build.nodeKey,
		Workers: o.Config.Workers(), ProbeAddr: o.Config.probeAddress(), RegistryTag: build.registryTag,
	}
	if err := m.records.put(record); err != nil {
		return nil, nil, err
	}
	kindLog := &kindLogger{}
	finished := false
	defer func() { // also when something panics
		if !finished {
			err = m.abandon(ctx, record, o, kindLog, results, err)
			c = nil
		}
	}()
	if err := m.build(ctx, o, build, kindLog); err != nil {
		return nil, nil, err
	}
	record.Doors, record.NodeShares = o.Config.findDoors(ctx), m.yieldNodes(ctx, o.Name)
	if c, err = m.handle(ctx, record); err != nil {
		return nil, nil, err
	}
	probe, err := m.publish(ctx, c.Registry)
	if err != nil {
		return nil, nil, err
	}
	if results, err = m.checkAll(ctx, c, probe, m.display); err != nil {
		return nil, results, err
	}
	if err := m.makePath(ctx, c, probe, o.Config.pathEnd(o.Name)); err != nil {
		return nil, results, err
	}
	record.PathNode = c.pathNode
	if record.UID, err = c.UID(ctx); err != nil {
		return nil, results, err
	}
	c.uid = record.UID
	if err := m.export(&record, o.ExportTo); err != nil {
		return nil, results, err
	}
	record.Phase, record.Retain, record.ReadyAt = Ready, false, time.Now().UTC()
	if err := m.records.put(record); err != nil {
		return nil, results, err
	}
	finished = true
	return c, results, nil
}

// build brings up nodes and registry side by side.
func (m *Manager) build(ctx context.Context, o UpOptions, build loaded, kindLog *kindLogger) error {
	if err := m.writeHosts(o.Name); err != nil {
		return err
	}
	if _, err := m.engine.ensureNetwork(ctx, networkName, m.labels("")); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		step := m.display.Start("registry")
		_, err := m.startRegistry(ctx, o.Name, build.registryTag)
		return step.Done(err)
	})
	group.Go(func() error {
		step := m.display.Start("nodes")
		kindLog.step = step
		return step.Done(m.createNodes(ctx, o, build.nodeTag, kindLog))
	})
	return group.Wait()
}

func (m *Manager) publish(ctx context.Context, registry string) (string, error) {
	step := m.display.Start("publish probe image")
	ref, err := m.images.Publish(ctx, registry, probeComponent)
	return ref, step.Done(err)
}

func (m *Manager) makePath(ctx context.Context, c *Cluster, image, node string) error {
	step := m.display.Start("watch the path to the cluster")
	return step.Done(c.makePath(ctx, image, node))
}

// createNodes runs kind. Its Create knows no context: on cancel the nodes are removed under it until it gives up. Kind is always told to
// retain, because logs must be collected before anything is removed; removing is ours.
func (m *Manager) createNodes(ctx context.Context, o UpOptions, image string, kindLog *kindLogger) error {
	provider := m.kind(kindLog)
	done := make(chan error, 1)
	go func() {
		done <- provider.Create(o.Name,
			kind.CreateWithV1Alpha4Config(o.Config.kindConfig(o.Name, m.records.hostsFolder(o.Name))),
			kind.CreateWithNodeImage(image),
			kind.CreateWithKubeconfigPath(m.records.kubeconfig(o.Name)),
			kind.CreateWithRetain(true))
	}()
	select {
	case err := <-done:
		return explainKind(err)
	case <-ctx.Done():
	}
	if o.Retain {
		return fmt.Errorf("create nodes: %w", ctx.Err())
	}
	return m.cutOff(ctx, o.Name, done)
}

// cutOff removes nodes until kind's Create has returned, so that none appears after the clean-up.
func (m *Manager) cutOff(ctx context.Context, name string, done <-chan error) error {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), cutTimeout)
	defer cancel()
	for {
		if err := m.removeNodes(limited, name); err != nil && limited.Err() == nil {
			return errors.Join(ctx.Err(), err)
		}
		timer := time.NewTimer(wait.Every)
		select {
		case <-done:
			timer.Stop()
			return fmt.Errorf("create nodes: %w", ctx.Err())
		case <-limited.Done():
			timer.Stop()
			return fmt.Errorf("create nodes: %w; kind still ran %s after its nodes were removed", ctx.Err(), words.Span(cutTimeout))
		case <-timer.C:
		}
	}
}

// abandon turns a failed creation into an error that says where the logs are, and removes or keeps what was made.
func (m *Manager) abandon(ctx context.Context, r Record, o UpOptions, kindLog *kindLogger, results []Result, cause error) error {
	if cause == nil {
		cause = errors.New("interrupted by a panic")
	}
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
	defer cancel()
	if ctx.Err() == nil {
		step := m.display.Start("collect logs")
		dir, err := m.collectLogs(cleanup, r, o, kindLog, results)
		step.Done(err)
		switch {
		case err != nil:
			cause = fmt.Errorf("%w; collecting logs failed too: %s", cause, words.OneLine(err.Error()))
		default:
			cause = fmt.Errorf("%w; logs are in %s", cause, dir)
		}
	}
	if ctx.Err() != nil {
		cause = fmt.Errorf("interrupted (%w)", ctx.Err())
	}
	if o.Retain {
		return fmt.Errorf("%w; what was made is kept: `rollproof cluster down --name %s` removes it", cause, o.Name)
	}
	step := m.display.Start("remove what was made")
	if err := step.Done(m.tearDown(cleanup, r)); err != nil {
		return fmt.Errorf("%w; removing what was made failed: %s; `rollproof cluster down --name %s` tries again", cause, words.OneLine(err.Error()), o.Name)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted (%w): everything that was made is removed again", ctx.Err())
	}
	return cause
}

// export merges the cluster's entry into a kubeconfig of the user's. That it will is recorded first, so that the entry is taken out again
// whatever happens in between.
func (m *Manager) export(r *Record, path string) error {
	if path == "" {
		return nil
	}
	r.ExportedTo = path
	if err := m.records.put(*r); err != nil {
		return err
	}
	if err := m.kind(log.NoopLogger{}).ExportKubeConfig(r.Name, path, false); err != nil {
		return fmt.Errorf("add cluster %s to kubeconfig %s: %w", r.Name, path, err)
	}
	return nil
}

// UserKubeconfig is the file that kubectl would write to: the first of KUBECONFIG, else the default one.
func UserKubeconfig() (string, error) {
	for _, path := range filepath.SplitList(os.Getenv("KUBECONFIG")) {
		if path != "" {
			return filepath.Abs(path)
		}
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the user's kubeconfig: %w", err)
	}
	return filepath.Join(home, ".kube", "config"), nil
}

// explainKind adds the last line of the failed command's output, which is where the reason is.
func explainKind(err error) error {
	if err == nil {
		return nil
	}
	run := exec.RunErrorForError(err)
	if run == nil {
		return fmt.Errorf("create nodes: %s", words.OneLine(err.Error()))
	}
	lines := strings.Split(strings.TrimSpace(string(run.Output)), "\n")
	return fmt.Errorf("create nodes: %s: %s", words.OneLine(run.Inner.Error()), strings.TrimSpace(lines[len(lines)-1]))
}

func short(key string) string { return key[:min(12, len(key))] }

// kindLogger keeps all that kind says for the logs, and shows its steps.
type kindLogger struct {
	mu   sync.Mutex
	text bytes.Buffer
	step *progress.Step
}

var _ log.Logger = (*kindLogger)(nil)

func (l *kindLogger) write(level, message string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(&l.text, "%s %s %s\n", time.Now().UTC().Format(time.RFC3339Nano), level, strings.TrimSpace(message))
}

func (l *kindLogger) contents() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.text.Bytes())
}

func (l *kindLogger) Warn(message string)          { l.write("warning", message) }
func (l *kindLogger) Warnf(f string, args ...any)  { l.write("warning", fmt.Sprintf(f, args...)) }
func (l *kindLogger) Error(message string)         { l.write("error", message) }
func (l *kindLogger) Errorf(f string, args ...any) { l.write("error", fmt.Sprintf(f, args...)) }

func (l *kindLogger) V(level log.Level) log.InfoLogger { return kindInfo{l, level} }

type kindInfo struct {
	logger *kindLogger
	level  log.Level
}

func (i kindInfo) Enabled() bool { return i.level <= 3 }

func (i kindInfo) Info(message string) {
	i.logger.write("info", message)
	// kind announces a step with a bullet, and repeats it with a tick when it is done
	if what, ok := strings.CutPrefix(strings.TrimSpace(message), "•"); ok && i.level == 0 && i.logger.step != nil {
		i.logger.step.Say("%s", strings.TrimFunc(what, func(r rune) bool { return r > 0x2000 || r == ' ' || r == '.' }))
	}
}

func (i kindInfo) Infof(f string, args ...any) { i.Info(fmt.Sprintf(f, args...)) }
