package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// debootstrap makes a root file system from Debian packages and packs it as one layer.
func (b *builder) debootstrap(ctx context.Context, in *inputs) (v1.Hash, error) {
	if err := b.needDebootstrap(ctx, in.say); err != nil {
		return v1.Hash{}, err
	}
	scratch, err := b.scratch()
	if err != nil {
		return v1.Hash{}, err
	}
	defer os.RemoveAll(scratch)
	root := filepath.Join(scratch, "root")
	in.say("install Debian %s", in.def.Debootstrap.Suite)
	if err := b.installDebian(ctx, in, root); err != nil {
		return v1.Hash{}, err
	}
	in.say("pack it")
	if err := b.trim(in, root); err != nil {
		return v1.Hash{}, err
	}
	layer, err := b.packRoot(ctx, root)
	if err != nil {
		return v1.Hash{}, err
	}
	img, err := mutate.Append(scratchImage(), mutate.Addendum{Layer: layer, History: v1.History{CreatedBy: "debootstrap"}})
	if err != nil {
		return v1.Hash{}, err
	}
	if img, err = configured(img, in.def.Config); err != nil {
		return v1.Hash{}, err
	}
	return b.blobs.writeImage(img)
}

// needDebootstrap installs debootstrap where that is possible without asking: as root, with apt. Elsewhere it says what to install.
func (s *Store) needDebootstrap(ctx context.Context, say func(string, ...any)) error {
	if os.Geteuid() != 0 {
		return errors.New("the base image is made by debootstrap, which needs root: run as root, or use --images=bundle:FILE or pull")
	}
	if _, err := exec.LookPath("debootstrap"); err == nil {
		return nil
	}
	return aptInstall(ctx, "debootstrap", "install the package debootstrap, or use --images=bundle:FILE or pull", say)
}

// aptInstall installs a Debian package on this machine, as root. Where there is no apt, the error says how to mend that.
func aptInstall(ctx context.Context, name, mend string, say func(string, ...any)) error {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("%s is missing: %s", name, mend)
	}
	say("install the package %s", name)
	for _, args := range [][]string{{"update"}, {"install", "--yes", "--no-install-recommends", name}} {
		cmd := command(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil && args[0] == "install" {
			return fmt.Errorf("%s is missing and apt-get install %s failed: %w: %s", name, name, err, lastLine(string(out)))
		}
	}
	return nil
}

func (b *builder) installDebian(ctx context.Context, in *inputs, root string) error {
	d := in.def.Debootstrap
	args := []string{"--variant=minbase"}
	if len(d.Include) > 0 {
		args = append(args, "--include="+strings.Join(d.Include, ","))
	}
	args = append(args, d.Suite, root)
	if mirror := b.sources.mirror(d.Suite); mirror != "" {
		args = append(args, mirror)
	}
	log := filepath.Join(b.cache, "images", "logs", in.def.Name+"-debootstrap.log")
	if err := os.MkdirAll(filepath.Dir(log), 0o755); err != nil {
		return err
	}
	cmd := command(ctx, "debootstrap", args...)
	// It mounts /proc and /sys below root. In a mount namespace of its own those go with it, however it ends.
	cmd.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS
	if err := runLogged(cmd, log); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("debootstrap %s: %w: %s (log: %s)", d.Suite, err, lastOf(tellingLines(log)), log)
	}
	return nil
}

// trim takes out what no container needs, and the name of the mirror.
func (b *builder) trim(in *inputs, root string) error {
	for _, pattern := range in.def.Debootstrap.Remove {
		found, err := filepath.Glob(filepath.Join(root, filepath.Clean("/"+pattern)))
		if err != nil {
			return fmt.Errorf("remove %s: %w", pattern, err)
		}
		for _, f := range found {
			if err := os.RemoveAll(f); err != nil {
				return fmt.Errorf("remove %s: %w", pattern, err)
			}
		}
	}
	for _, f := range in.def.Files {
		if err := copyInto(root, filepath.Join(in.def.Dir, filepath.FromSlash(f.Path)), f.To); err != nil {
			return err
		}
	}
	if b.sources.mirror(in.def.Debootstrap.Suite) == "" {
		return nil // debootstrap's default mirror is public: apt may go on using it
	}
	return os.WriteFile(filepath.Join(root, "etc/apt/sources.list"), nil, 0o644)
}

func copyInto(root, from, to string) error {
	files, err := regularFiles(from)
	if err != nil {
		return err
	}
	for _, rel := range files {
		data, err := os.ReadFile(filepath.Join(from, rel))
		if err != nil {
			return err
		}
		if rel == "." {
			rel = filepath.Base(from)
		}
		target := filepath.Join(root, to, rel)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(target, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// packRoot packs a root file system with its owners, links and modes. GNU tar knows all of them; the order and times are fixed.
func (b *builder) packRoot(ctx context.Context, root string) (v1.Layer, error) {
	cmd := command(ctx, "tar", "--create", "--directory", root, "--sort=name", "--mtime=@0", "--numeric-owner", "--xattrs", "--format=posix",
		"--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime",
		"--exclude=./dev/*", "--exclude=./proc/*", "--exclude=./sys/*", ".")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start tar: %w", err)
	}
	layer, err := b.blobs.addLayer(out)
	if err != nil {
		_, _ = io.Copy(io.Discard, out)
	}
	if failed := cmd.Wait(); failed != nil {
		return nil, fmt.Errorf("pack the root file system: %w: %s", failed, lastLine(stderr.String()))
	}
	return layer, err
}

// aptList is the package sources that builds on our base use. Empty keeps what the base has.
func (s *Store) aptList() string {
	for _, d := range s.defs {
		if d.Debootstrap != nil {
			return s.sources.of(d.Debootstrap.Suite).list()
		}
	}
	return ""
}
