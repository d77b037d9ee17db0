package images

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// State is what is known of a component's image: cached or not, and if not, why it must be made.
type State struct {
	Image
	About  string    `json:"about"`
	Cached bool      `json:"cached"`
	Built  time.Time `json:"built,omitzero"` // when it was made, pulled or loaded
	Why    string    `json:"why,omitempty"`  // the first line of its lock that differs from the newest image's
}

// List says for the named components (all when none is named) what is cached. It changes nothing and asks no network.
func (s *Store) List(ctx context.Context, names ...string) ([]State, error) {
	if len(names) == 0 {
		names = s.Components()
	}
	if _, err := order(s.defs, names); err != nil {
		return nil, err
	}
	built, err := s.plan(ctx, "source", names)
	if err != nil {
		return nil, err
	}
	pulled, err := s.plan(ctx, "pull", names)
	if err != nil {
		return nil, err
	}
	var states []State
	for _, n := range names {
		st := stepOf(built, n)
		if other := stepOf(pulled, n); st.record == nil && other.record != nil {
			st = other
		}
		states = append(states, stateOf(st))
	}
	return states, nil
}

func stepOf(steps []step, component string) step {
	for _, st := range steps {
		if st.def.Name == component {
			return st
		}
	}
	return step{}
}

func stateOf(st step) State {
	if st.record != nil {
		return State{Image: st.record.Image, About: st.def.About, Cached: true, Built: st.record.Built}
	}
	state := State{Image: Image{Component: st.def.Name, Version: st.def.Version, Ref: st.def.Ref}, About: st.def.About, Why: st.why}
	if st.lock != "" {
		state.Key, state.Ref = st.lock.Key(), refOf(st.def, st.lock)
	}
	return state
}

// Freed says what Prune removed.
type Freed struct {
	Images int   `json:"images"` // images and builds that no lock names any more
	Bytes  int64 `json:"bytes"`
}

// Prune removes images and binaries that no component's present lock names, and what killed processes left. Clusters and their
// engine's images are not touched.
func (s *Store) Prune(ctx context.Context) (Freed, error) {
	unlock, err := s.lockCache(ctx)
	if err != nil {
		return Freed{}, err
	}
	defer unlock()
	keepRecords, err := s.currentRecords(ctx)
	if err != nil {
		return Freed{}, err
	}
	keepBuilds, err := s.currentBuilds(ctx)
	if err != nil {
		return Freed{}, err
	}
	var freed Freed
	if err := s.pruneRecords(keepRecords, &freed); err != nil {
		return freed, err
	}
	if err := s.writeIndex(); err != nil {
		return freed, err
	}
	return freed, errors.Join(s.pruneBlobs(&freed), s.pruneFolder(s.binDir(), keepBuilds, &freed),
		s.pruneFolder(filepath.Join(s.cache, "images", "tmp"), nil, &freed))
}

// currentRecords are the records that a plan finds, from whichever source.
func (s *Store) currentRecords(ctx context.Context) (map[string]bool, error) {
	keep := map[string]bool{}
	for _, from := range []string{"source", "pull"} {
		steps, err := s.plan(ctx, from, s.Components())
		if err != nil {
			return nil, err
		}
		for _, st := range steps {
			if st.record != nil {
				keep[recordFile(st.def.Name, st.record.Key)] = true
			}
		}
	}
	return keep, nil
}

func (s *Store) currentBuilds(ctx context.Context) (map[string]bool, error) {
	keep := map[string]bool{}
	for _, d := range s.defs {
		for _, g := range d.Go {
			lock, err := s.locker.goBuild(ctx, d, g)
			if err != nil {
				return nil, err
			}
			keep[lock.Key()[:16]] = true
		}
		for _, m := range d.Maven {
			lock, err := s.locker.maven(d, m)
			if err != nil {
				return nil, err
			}
			keep[lock.Key()[:16]] = true
		}
	}
	return keep, nil
}

func (s *Store) pruneRecords(keep map[string]bool, freed *Freed) error {
	files, err := os.ReadDir(s.recordDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("prune records: %w", err)
	}
	for _, f := range files {
		if keep[f.Name()] {
			continue
		}
		if err := os.Remove(filepath.Join(s.recordDir(), f.Name())); err != nil {
			return fmt.Errorf("prune records: %w", err)
		}
		if !strings.HasPrefix(f.Name(), temporary) {
			freed.Images++
		}
	}
	return nil
}

// pruneBlobs removes blobs that no recorded image is made of.
func (s *Store) pruneBlobs(freed *Freed) error {
	records, err := s.records()
	if err != nil {
		return err
	}
	used := map[string]bool{}
	for _, r := range records {
		members, _, err := s.blobs.members(hash(r.Digest))
		if err != nil {
			return fmt.Errorf("prune blobs: %w", err)
		}
		for _, h := range members {
			used[h.Hex] = true
		}
	}
	dir := filepath.Dir(s.blobs.path(v1.Hash{Algorithm: "sha256", Hex: "x"}))
	files, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("prune blobs: %w", err)
	}
	for _, f := range files {
		if used[f.Name()] {
			continue
		}
		if info, err := f.Info(); err == nil {
			freed.Bytes += info.Size()
		}
		if err := os.Remove(filepath.Join(dir, f.Name())); err != nil {
			return fmt.Errorf("prune blobs: %w", err)
		}
	}
	return nil
}

// pruneFolder removes the entries of a folder that are not to be kept.
func (s *Store) pruneFolder(dir string, keep map[string]bool, freed *Freed) error {
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("prune %s: %w", dir, err)
	}
	for _, f := range files {
		if keep[f.Name()] {
			continue
		}
		freed.Bytes += folderSize(filepath.Join(dir, f.Name()))
		freed.Images++
		if err := os.RemoveAll(filepath.Join(dir, f.Name())); err != nil {
			return fmt.Errorf("prune %s: %w", dir, err)
		}
	}
	return nil
}

func folderSize(dir string) int64 {
	var size int64
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil
		}
		if info, err := entry.Info(); err == nil {
			size += info.Size()
		}
		return nil
	})
	return size
}
