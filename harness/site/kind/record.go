package kind

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/renameio/v2"

	"bitvault.dev/rollproof/harness/wait"
)

// Phase is how far a cluster of ours has come.
type Phase string

const (
	Creating Phase = "creating" // written before anything exists; with its owner gone, what exists is garbage
	Ready    Phase = "ready"    // `cluster up` succeeded: it belongs to the user until `cluster down`
	Removing Phase = "removing" // half of it may be gone; with its owner gone, the rest is garbage
)

// Record is what is known of one cluster of ours. It is written before the first container is made and removed after the last one
// is gone, so a crash at any point leaves either nothing or a record that says what to clean up.
type Record struct {
	Name        string    `json:"name"`
	Phase       Phase     `json:"phase"`
	Owner       Owner     `json:"owner"`
	Retain      bool      `json:"retain"`                // keep it although it is broken, for a look
	ConfigSum   string    `json:"configSum"`             // of its kind configuration
	NodeKey     string    `json:"nodeKey"`               // what its node image is made of
	Workers     int       `json:"workers"`               //
	ProbeAddr   string    `json:"probeAddr"`             // where this machine reaches ProbeNodePort
	NodeShares  int64     `json:"nodeShares,omitempty"`  // of the CPU that each node got; 0 where the engine gave none
	PathNode    string    `json:"pathNode,omitempty"`    // where the path from this machine ends, see Cluster.Path
	Doors       []string  `json:"doors,omitempty"`       // addresses at which a program of the engine takes connections
	UID         string    `json:"uid,omitempty"`         // of its kube-system namespace: proves that a cluster is this one
	ExportedTo  string    `json:"exportedTo,omitempty"`  // kubeconfig of the user's that got an entry
	ReadyAt     time.Time `json:"readyAt,omitzero"`      //
	RegistryTag string    `json:"registryTag,omitempty"` // image the registry beside it runs
}

// garbage reports whether what the record names may be removed by anybody who holds its lock.
func (r Record) garbage() bool { return r.Phase != Ready && !r.Retain }

// DefaultStateDir is where records and kubeconfigs are kept: ROLLPROOF_STATE, else rollproof in the user's state folder.
func DefaultStateDir() (string, error) {
	if dir := os.Getenv("ROLLPROOF_STATE"); dir != "" {
		return filepath.Abs(dir)
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "rollproof"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find a folder for the state of clusters (set ROLLPROOF_STATE): %w", err)
	}
	return filepath.Join(home, ".local", "state", "rollproof"), nil
}

// records is the folder of all records: one folder per cluster, with a lock file beside it.
type records struct{ dir string }

func (s records) folder(name string) string      { return filepath.Join(s.dir, "clusters", name) }
func (s records) file(name string) string        { return filepath.Join(s.folder(name), "state.json") }
func (s records) kubeconfig(name string) string  { return filepath.Join(s.folder(name), "kubeconfig") }
func (s records) hostsFolder(name string) string { return filepath.Join(s.folder(name), "certs.d") }
func (s records) lockFile(name string) string    { return filepath.Join(s.dir, "locks", name) }

// get returns the record of one cluster; ok is false when there is none. A damaged record is an error that says what to do.
func (s records) get(name string) (r Record, ok bool, err error) {
	raw, err := os.ReadFile(s.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, false, nil
	}
	if err != nil {
		return Record{}, false, fmt.Errorf("read the record of cluster %s: %w", name, err)
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return Record{}, false, fmt.Errorf("read the record of cluster %s: %s is damaged (%v): remove the cluster with `kind delete cluster --name %s`, then that file",
			name, s.file(name), err, name)
	}
	return r, true, nil
}

func (s records) put(r Record) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write the record of cluster %s: %w", r.Name, err)
	}
	if err := writeFile(s.file(r.Name), append(raw, '\n')); err != nil {
		return fmt.Errorf("write the record of cluster %s: %w", r.Name, err)
	}
	return nil
}

// remove deletes the whole folder of a cluster, its record last.
func (s records) remove(name string) error {
	entries, err := os.ReadDir(s.folder(name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the files of cluster %s: %w", name, err)
	}
	for _, entry := range entries {
		if path := filepath.Join(s.folder(name), entry.Name()); path != s.file(name) {
			if err := os.RemoveAll(path); err != nil {
				return fmt.Errorf("remove the files of cluster %s: %w", name, err)
			}
		}
	}
	if err := os.RemoveAll(s.folder(name)); err != nil {
		return fmt.Errorf("remove the record of cluster %s: %w", name, err)
	}
	return nil
}

// names lists the clusters that have a folder, also one that a crash left without a record.
func (s records) names() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, "clusters"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list clusters: %w", err)
	}
	var names []string
	for _, entry := range entries {
		if entry.IsDir() {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

var errLocked = errors.New("locked by another process")

// tryLock takes the lock of one cluster. The kernel drops it with the process, however that ends: held means alive.
func (s records) tryLock(name string) (unlock func(), err error) {
	path := s.lockFile(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("lock cluster %s: %w", name, err)
	}
	for {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
		if err != nil {
			return nil, fmt.Errorf("lock cluster %s: %w", name, err)
		}
		if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			file.Close()
			if errors.Is(err, syscall.EWOULDBLOCK) {
				return nil, errLocked
			}
			return nil, fmt.Errorf("lock cluster %s: %w", name, err)
		}
		if sameFile(file, path) {
			return func() { os.Remove(path); file.Close() }, nil
		}
		file.Close() // its last holder removed it between our open and our lock: take the new one
	}
}

func sameFile(open *os.File, path string) bool {
	a, errA := open.Stat()
	b, errB := os.Stat(path)
	return errA == nil && errB == nil && os.SameFile(a, b)
}

// lock waits for the lock of one cluster as long as the context lives.
func (s records) lock(ctx context.Context, name string, say func(string, ...any)) (unlock func(), err error) {
	for waiting := false; ; waiting = true {
		unlock, err := s.tryLock(name)
		if !errors.Is(err, errLocked) {
			return unlock, err
		}
		if !waiting {
			say("another process works on cluster %s: waiting for it", name)
		}
		if err := wait.Pause(ctx, 200*time.Millisecond); err != nil {
			return nil, fmt.Errorf("wait for the lock of cluster %s: %w", name, err)
		}
	}
}

// writeFile replaces a file at once or not at all. Kubeconfigs and records are the user's alone.
func writeFile(path string, raw []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return renameio.WriteFile(path, raw, 0o600)
}
