package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/moby/moby/client"
)

// answerTimeout bounds one question to an engine: a local one answers in milliseconds.
const answerTimeout = 5 * time.Second

// Endpoint says where the engine is expected: the docker command's own answer (DOCKER_HOST, DOCKER_CONTEXT or the current context),
// without that command DOCKER_HOST, else the default socket.
func Endpoint(ctx context.Context) string {
	if out, err := exec.CommandContext(ctx, "docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}").Output(); err == nil {
		if host := strings.TrimSpace(string(out)); host != "" {
			return host
		}
	}
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		return host
	}
	return client.DefaultDockerHost
}

// Connect returns a client of the engine that answers at Endpoint, with the API version both sides know. The error says whether
// nothing answers (ErrNoEngine) or the user may not talk to it (ErrPermission). The caller closes the client.
func Connect(ctx context.Context) (*client.Client, error) {
	return connect(ctx, Endpoint(ctx))
}

func connect(ctx context.Context, host string) (*client.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	api, err := client.New(client.WithHostFromEnv(), client.WithTLSClientConfigFromEnv(), client.WithHost(host))
	if err != nil {
		return nil, fmt.Errorf("connect to the Docker engine at %s: %w", host, err)
	}
	if _, err := api.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		api.Close()
		return nil, classify(host, err)
	}
	return api, nil
}

// ErrNoEngine: nothing answers where the engine is expected.
var ErrNoEngine = errors.New("no Docker engine answers")

// ErrPermission: an engine is there, but this user may not talk to it.
var ErrPermission = errors.New("permission denied")

func classify(host string, err error) error {
	if errors.Is(err, fs.ErrPermission) || strings.Contains(err.Error(), "permission denied") {
		return fmt.Errorf("%w by the Docker engine at %s: join its group (`sudo usermod -aG docker $USER`, then log in again) or use sudo",
			ErrPermission, host)
	}
	return fmt.Errorf("%w at %s (%s)", ErrNoEngine, host, firstLine(err.Error()))
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

// Engine is what a Docker engine says about itself.
type Engine struct {
	Endpoint   string `json:"endpoint"`
	Version    string `json:"version"`
	API        string `json:"api"`      // version negotiated with it
	Driver     string `json:"driver"`   // storage driver
	DataRoot   string `json:"dataRoot"` // folder its images and containers are in
	Runtime    string `json:"runtime"`  // default OCI runtime
	Containers int    `json:"containers"`
	Ours       bool   `json:"ours"` // started by rollproof, and to be stopped by `make docker-down`
}

// describe asks the engine behind api about itself.
func describe(ctx context.Context, api *client.Client) (Engine, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	info, err := api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return Engine{}, fmt.Errorf("ask the Docker engine at %s about itself: %w", api.DaemonHost(), err)
	}
	return Engine{
		Endpoint: api.DaemonHost(), Version: info.Info.ServerVersion, API: api.ClientVersion(), Driver: info.Info.Driver,
		DataRoot: info.Info.DockerRootDir, Runtime: info.Info.DefaultRuntime, Containers: info.Info.Containers,
	}, nil
}

// checkDriver refuses storage drivers that copy whole images for every container: three nodes would fill the disk.
func checkDriver(e Engine) error {
	switch e.Driver {
	case "vfs", "devicemapper", "aufs":
		return fmt.Errorf("the Docker engine at %s stores images with %s: kind nodes need overlay2; set \"storage-driver\" in its daemon.json",
			e.Endpoint, e.Driver)
	}
	return nil
}
