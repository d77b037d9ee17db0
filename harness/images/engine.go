package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// engine is what is needed of a Docker engine.
type engine interface {
	// answers says why no engine can be used, nil when one answers.
	answers(ctx context.Context) error
	// id returns an image's id, empty when there is no such image.
	id(ctx context.Context, tag string) (string, error)
	load(ctx context.Context, tag string, img v1.Image) error
	build(ctx context.Context, buildContext io.Reader, tags buildTags, log string) error
	save(ctx context.Context, tag, file string) error
	// forget removes images that only the build of a component needed. Failures cost disk space only.
	forget(ctx context.Context, component string, tags ...string)
}

// stageLabel marks what a Dockerfile's side stages leave behind, so that forget finds it: such a stage sets it to the component's name.
const stageLabel = "dev.rollproof.stage"

// dockerCLI is the engine that the docker command reaches. kind needs the command anyway.
type dockerCLI struct{}

func (dockerCLI) run(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	cmd := command(ctx, "docker", args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	err := cmd.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "", errors.New("the docker command is missing (Debian package docker.io)")
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return "", fmt.Errorf("docker %s: %w: %s", strings.Join(args[:min(2, len(args))], " "), err, lastLine(stderr.String()))
	}
	return strings.TrimSpace(stdout.String()), nil
}

func (d dockerCLI) answers(ctx context.Context) error {
	_, err := d.run(ctx, nil, "version", "--format", "{{.Server.Version}}")
	return err
}

func (d dockerCLI) id(ctx context.Context, tag string) (string, error) {
	out, err := d.run(ctx, nil, "image", "ls", "--no-trunc", "--quiet", tag)
	if err != nil {
		return "", fmt.Errorf("look for image %s: %w", tag, err)
	}
	id, _, _ := strings.Cut(out, "\n")
	return id, nil
}

func (d dockerCLI) load(ctx context.Context, tag string, img v1.Image) error {
	ref, err := name.NewTag(tag)
	if err != nil {
		return err
	}
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(tarball.Write(ref, img, writer)) }()
	defer reader.Close()
	if _, err := d.run(ctx, reader, "load"); err != nil {
		return fmt.Errorf("load %s into the engine: %w", tag, err)
	}
	return nil
}

// build uses the classic builder: BuildKit needs a plugin that Debian's docker.io does not have.
func (dockerCLI) build(ctx context.Context, buildContext io.Reader, tags buildTags, log string) error {
	if err := os.MkdirAll(filepath.Dir(log), 0o755); err != nil {
		return err
	}
	cmd := command(ctx, "docker", "build", "--force-rm", "--no-cache", "--tag", tags.result, "--build-arg", "BASE="+tags.base, "-")
	cmd.Env = append(os.Environ(), "DOCKER_BUILDKIT=0")
	cmd.Stdin = buildContext
	err := runLogged(cmd, log)
	if err == nil || ctx.Err() != nil {
		return errors.Join(err, ctx.Err())
	}
	return fmt.Errorf("docker build: %w: %s (log: %s)", err, lastOf(tellingLines(log)), log)
}

func lastOf(lines []string) string {
	if len(lines) == 0 {
		return "no output"
	}
	return lines[len(lines)-1]
}

func (d dockerCLI) save(ctx context.Context, tag, file string) error {
	if _, err := d.run(ctx, nil, "save", "--output", file, tag); err != nil {
		return fmt.Errorf("take %s out of the engine: %w", tag, err)
	}
	return nil
}

func (d dockerCLI) forget(ctx context.Context, component string, tags ...string) {
	_, _ = d.run(ctx, nil, append([]string{"image", "rm"}, tags...)...)
	_, _ = d.run(ctx, nil, "image", "prune", "--force", "--filter", "label="+stageLabel+"="+component)
}

// needEngine makes sure that a Docker engine answers, and starts one only where none does.
func (s *Store) needEngine(ctx context.Context) error {
	err := s.engine.answers(ctx)
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	if s.ensureEngine == nil {
		return fmt.Errorf("no Docker engine answers, and this image needs one: %w; `make docker` installs or starts one", err)
	}
	if err := s.ensureEngine(ctx); err != nil {
		return err
	}
	if err := s.engine.answers(ctx); err != nil {
		return fmt.Errorf("the Docker engine does not answer after it was started: %w", err)
	}
	return nil
}

// LoadIntoEngine makes sure that the Docker engine has an image, and returns the name it has there. No work when it is there already.
func (s *Store) LoadIntoEngine(ctx context.Context, img Image) (string, error) {
	if err := s.needEngine(ctx); err != nil {
		return "", err
	}
	stored, err := s.open(img)
	if err != nil {
		return "", err
	}
	config, err := stored.ConfigName()
	if err != nil {
		return "", fmt.Errorf("read image of component %s: %w", img.Component, err)
	}
	tag := localTag(img.Component, img.Key)
	id, err := s.engine.id(ctx, tag)
	if err != nil {
		return "", err
	}
	// The classic image store calls an image by its configuration's digest, containerd's by its manifest's.
	if id == config.String() || id == img.Digest {
		return tag, nil
	}
	step := s.show.Start("image " + img.Component + ": load into the engine")
	return tag, step.Done(s.engine.load(ctx, tag, stored))
}
