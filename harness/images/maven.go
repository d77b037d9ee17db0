package images

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Maven is files of Maven repositories, as jars: `mvn package` in a copy of the project's folder puts them below its target/files. Where Maven
// gets them from is the machine's business, as its settings have it.
type Maven struct {
	Project string `json:"project"` // folder beside component.yaml with a pom.xml and the checksums of what comes out
	To      string `json:"to"`      // folder in the image
}

// checksumFile, in a Maven project, lists every file below target/files as `sha256sum` writes it. One that is missing, more or different is
// refused: that is what go.sum is for Go.
const checksumFile = "SHA256SUMS"

func (m Maven) check() error {
	if !localPath(m.Project) || !filepath.IsAbs(m.To) {
		return fmt.Errorf("project must lie below the component's folder and to must be absolute: %q to %q", m.Project, m.To)
	}
	return nil
}

// maven locks what a Maven project makes: its pom and the checksums, neither Maven's version nor Java's.
func (l *locker) maven(d *Definition, m Maven) (Lock, error) {
	w := &lockWriter{}
	if err := addFiles(w, m.Project, filepath.Join(d.Dir, filepath.FromSlash(m.Project))); err != nil {
		return "", fmt.Errorf("lock component %s, maven %s: %w", d.Name, m.Project, err)
	}
	return w.lock(), nil
}

// mavenAll fetches the files of all Maven projects of a component, and returns the folder with those of each.
func (b *builder) mavenAll(ctx context.Context, d *Definition) ([]string, error) {
	var dirs []string
	for _, m := range d.Maven {
		dir, err := b.mavenFiles(ctx, d, m)
		if err != nil {
			return nil, err
		}
		dirs = append(dirs, dir)
	}
	return dirs, nil
}

// mavenFiles returns the folder with what one Maven project makes. It is kept by its own key, beside the binaries.
func (b *builder) mavenFiles(ctx context.Context, d *Definition, m Maven) (string, error) {
	lock, err := b.locker.maven(d, m)
	if err != nil {
		return "", err
	}
	final := filepath.Join(b.binDir(), lock.Key()[:16])
	if _, err := os.Stat(final); err == nil {
		return filepath.Join(final, "bin"), nil
	}
	if err := b.heavy.Acquire(ctx, 1); err != nil {
		return "", err
	}
	defer b.heavy.Release(1)
	step := b.show.Start(fmt.Sprintf("image %s: fetch %s", d.Name, m.Project))
	scratch, err := b.scratch()
	if err != nil {
		return "", step.Done(err)
	}
	defer os.RemoveAll(scratch)
	if err := b.resolve(ctx, d, m, scratch, step.Say); err != nil {
		return "", step.Done(fmt.Errorf("component %s, maven %s: %w", d.Name, m.Project, err))
	}
	return filepath.Join(final, "bin"), step.Done(b.keepBinaries(scratch, final, lock))
}

// resolve runs Maven in a copy of the project below scratch, and leaves what it made in scratch's folder bin.
func (b *builder) resolve(ctx context.Context, d *Definition, m Maven, scratch string, say func(string, ...any)) error {
	if err := b.needMaven(ctx, say); err != nil {
		return err
	}
	project := filepath.Join(scratch, "source") // as a module's source, it is removed in the end
	if err := os.CopyFS(project, os.DirFS(filepath.Join(d.Dir, filepath.FromSlash(m.Project)))); err != nil {
		return err
	}
	log := filepath.Join(b.cache, "images", "logs", d.Name+"-maven.log")
	if err := os.MkdirAll(filepath.Dir(log), 0o755); err != nil {
		return err
	}
	if err := runLogged(command(ctx, "mvn", "--batch-mode", "--no-transfer-progress", "--file", filepath.Join(project, "pom.xml"), "package"), log); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("mvn: %w: %s (log: %s)", err, complaint(log), log)
	}
	made := filepath.Join(project, "target", "files")
	if err := verify(made, filepath.Join(project, checksumFile)); err != nil {
		return err
	}
	return os.Rename(made, filepath.Join(scratch, "bin"))
}

// complaint is the first line of Maven's output that is an error: those that follow are advice.
func complaint(log string) string {
	lines := tellingLines(log)
	if i := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "[ERROR]") }); i >= 0 {
		return lines[i]
	}
	return lastOf(lines)
}

// needMaven installs Maven where that is possible without asking: as root, with apt. Elsewhere it says what to install.
func (s *Store) needMaven(ctx context.Context, say func(string, ...any)) error {
	if _, err := exec.LookPath("mvn"); err == nil {
		return nil
	}
	const mend = "install the package maven, or use --images=bundle:FILE or pull"
	if os.Geteuid() != 0 {
		return errors.New("mvn is missing: " + mend)
	}
	return aptInstall(ctx, "maven", mend, say)
}

// verify holds the files below dir against a list of their checksums.
func verify(dir, list string) error {
	text, err := os.ReadFile(list)
	if err != nil {
		return fmt.Errorf("read the checksums of what Maven is to fetch: %w", err)
	}
	wanted := map[string]string{}
	for line := range strings.Lines(string(text)) {
		sum, file, ok := strings.Cut(strings.TrimSpace(line), "  ")
		if !ok || len(sum) != 64 {
			return fmt.Errorf("%s: line %q is no checksum and file as sha256sum writes them", checksumFile, strings.TrimSpace(line))
		}
		wanted[file] = "sha256:" + sum
	}
	files, err := regularFiles(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, file := range files {
		want, listed := wanted[file]
		if !listed {
			return fmt.Errorf("Maven fetched %s, which %s does not list: refusing it", file, checksumFile)
		}
		got, err := hashFile(filepath.Join(dir, filepath.FromSlash(file)))
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("Maven fetched %s with checksum %s, pinned is %s: refusing it", file, got, want)
		}
		delete(wanted, file)
	}
	for file := range wanted {
		return fmt.Errorf("Maven did not fetch %s, which %s lists", file, checksumFile)
	}
	return nil
}
