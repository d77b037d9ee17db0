package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"bitvault.dev/rollproof/harness/docker"
)

func newDockerCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "docker",
		Short: "Find, start or stop the Docker engine that clusters run on",
		Long: `An engine that answers (DOCKER_HOST, the docker context or the default socket) is used untouched. Where none answers and
this is root on Debian or Ubuntu, "docker up" installs docker.io and starts it with data, log and pid file of its own under
/var/lib/rollproof/docker, and "docker down" stops that engine and no other.`,
		Args: noArguments,
	}
	cmd.AddCommand(newDockerUpCommand(), newDockerDownCommand(), newDockerStatusCommand())
	return cmd
}

func newDockerUpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "up", Short: "Use the engine that answers, or install and start one", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			engine, err := docker.Ensure(cmd.Context(), sayTo(cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			raised, err := docker.EnsureInotify()
			if err != nil {
				return err
			}
			if raised {
				fmt.Fprintf(cmd.ErrOrStderr(), "raised fs.inotify.max_user_instances to %d, until the next boot\n", docker.InotifyInstances)
			}
			printEngine(cmd.OutOrStdout(), engine)
			return nil
		},
	}
}

func newDockerDownCommand() *cobra.Command {
	return &cobra.Command{
		Use: "down", Short: "Stop the engine that `docker up` started, and no other", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			stopped, err := docker.Stop(cmd.Context(), sayTo(cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			if stopped {
				fmt.Fprintln(cmd.OutOrStdout(), "stopped; images and containers are kept for the next start")
			} else {
				fmt.Fprintln(cmd.OutOrStdout(), "no engine of ours runs: nothing to stop")
			}
			return nil
		},
	}
}

func newDockerStatusCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "status", Short: "Describe the engine that answers", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			engine, err := docker.Status(cmd.Context())
			if errors.Is(err, docker.ErrNoEngine) {
				return fmt.Errorf("%w; `make docker` starts one", err)
			}
			if err != nil {
				return err
			}
			if output == "json" {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(engine)
			}
			printEngine(cmd.OutOrStdout(), engine)
			return nil
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}

func printEngine(out io.Writer, e docker.Engine) {
	whose := "found running, left untouched"
	if e.Ours {
		whose = "started by rollproof, `make docker-down` stops it"
	}
	fmt.Fprintf(out, "Docker engine %s at %s (%s)\n  API %s, storage %s in %s, runtime %s, %d containers\n",
		e.Version, e.Endpoint, whose, e.API, e.Driver, e.DataRoot, e.Runtime, e.Containers)
}

// sayTo prints progress lines to out.
func sayTo(out io.Writer) docker.Say {
	return func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }
}
