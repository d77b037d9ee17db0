package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"bitvault.dev/rollproof/harness/docker"
	"bitvault.dev/rollproof/harness/images"
	"bitvault.dev/rollproof/harness/progress"
	"bitvault.dev/rollproof/harness/site"
	"bitvault.dev/rollproof/harness/site/existing"
	"bitvault.dev/rollproof/harness/site/kind"
	"bitvault.dev/rollproof/harness/words"
)

func newClusterCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "Make, describe or remove the Kubernetes cluster that scenarios run on",
		Long: `The cluster is made by kind in Docker, from kind-config.yaml, with a registry beside it that its nodes ask first. It has a
kubeconfig of its own: yours is not written unless you ask for it with --export-kubeconfig.`,
		Args: noArguments,
	}
	cmd.AddCommand(newClusterUpCommand(), newClusterDownCommand(), newClusterStatusCommand())
	return cmd
}

// clusterUpFlags are what `cluster up` was asked for.
type clusterUpFlags struct {
	name, config, images string
	retain, export       bool
}

func newClusterUpCommand() *cobra.Command {
	var f clusterUpFlags
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Make the cluster and return when every readiness check has passed",
		Long: `Makes the cluster and returns when every readiness check has passed: nodes Ready, DNS, pods of every two nodes reach each other
under their own addresses, a volume binds and is written, a node port answers on this machine, and the address of a pod that is
gone refuses within a second. The same healthy cluster is left as it is. What killed runs left is removed first.

On failure logs are collected, the message names their folder, and everything made is removed; --retain keeps it for a look.`,
		Example: `  rollproof cluster up
  rollproof cluster up --name second --config my-kind.yaml
  export KUBECONFIG=$(rollproof cluster status -o json | jq -r .kubeconfig)`,
		Args: noArguments,
		Annotations: map[string]string{onInterrupt: fmt.Sprintf("what was made is removed, or kept with --retain, at most %s", words.Span(kind.EndsWithin)),
			makesCluster: "yes"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return clusterUp(cmd.Context(), cmd.OutOrStdout(), displayOf(cmd), f)
		},
	}
	cmd.Flags().StringVar(&f.name, "name", kind.DefaultName, "name of the cluster")
	cmd.Flags().StringVar(&f.config, "config", "", "kind configuration (default kind-config.yaml in the project's root)")
	cmd.Flags().StringVar(&f.images, "images", "auto", "where images come from: source, pull, bundle:FILE or auto")
	cmd.Flags().BoolVar(&f.retain, "retain", false, "keep what was made after a failure or Ctrl-C, so that you can look at it")
	cmd.Flags().BoolVar(&f.export, "export-kubeconfig", false, "add the cluster to your own kubeconfig too; cluster down takes it out again")
	return cmd
}

func clusterUp(ctx context.Context, out io.Writer, display *progress.Display, f clusterUpFlags) error {
	root, err := images.FindRoot(".")
	if err != nil {
		return err
	}
	config, err := kind.LoadConfigIn(root, f.config)
	if err != nil {
		return err
	}
	exportTo := ""
	if f.export {
		if exportTo, err = kind.UserKubeconfig(); err != nil {
			return err
		}
	}
	if _, err := docker.Ensure(ctx, display.Say); err != nil {
		return err
	}
	store, err := images.Open(ctx, images.Options{Root: root, Source: f.images, Progress: display})
	if err != nil {
		return err
	}
	manager, err := kind.NewManager(ctx, kind.ManagerOptions{Images: kind.FromStore(store), Progress: display})
	if err != nil {
		return err
	}
	defer manager.Close()
	c, report, err := manager.Up(ctx, kind.UpOptions{
		Name: f.name, Config: config, Retain: f.retain, ExportTo: exportTo, LogsDir: filepath.Join(root, "out"),
	})
	printUp(out, c, report, err)
	return err
}

func printUp(out io.Writer, c *kind.Cluster, report kind.UpReport, err error) {
	for _, cleaned := range report.Cleaned {
		fmt.Fprintf(out, "removed %s, which a killed run had left\n", cleaned)
	}
	for _, result := range report.Results {
		mark, text := "ok  ", result.Evidence
		if !result.Passed {
			mark, text = "FAIL", result.Error
		}
		fmt.Fprintf(out, "%s %-18s %4.1fs  %s\n", mark, result.Name, result.Seconds, text)
	}
	switch {
	case err != nil:
	case report.Existing:
		fmt.Fprintf(out, "cluster %s is there already and healthy, nothing was made\n", c.Name)
	default:
		fmt.Fprintf(out, "cluster %s is ready; registry at %s\n", c.Name, c.Registry)
	}
	if err == nil {
		fmt.Fprintf(out, "  kubectl --kubeconfig %s get nodes\n", c.Kubeconfig)
	}
}

func newClusterDownCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use: "down", Short: "Remove the cluster with everything that belongs to it", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			manager, err := kind.NewManager(cmd.Context(), kind.ManagerOptions{})
			if err != nil {
				return err
			}
			defer manager.Close()
			found, err := manager.Down(cmd.Context(), name, displayOf(cmd).Say)
			if err != nil {
				return err
			}
			if found {
				fmt.Fprintf(cmd.OutOrStdout(), "cluster %s is removed\n", name)
			} else {
				fmt.Fprintf(cmd.OutOrStdout(), "there is no cluster %s: nothing to remove\n", name)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&name, "name", kind.DefaultName, "name of the cluster")
	return cmd
}

func newClusterStatusCommand() *cobra.Command {
	var name, output, kubeconfig, kubeContext string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Describe the cluster; ends with 3 when it is not ready",
		Long: `Describes the cluster and ends with 0 when it is ready, 3 when it is not. The JSON is a stable contract:
{"name","provider","ready","nodes":[{"name","role","ready","version"}],"kubeconfig"}.

An existing cluster is described by --kubeconfig and --context together; the current context is never assumed.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("--output %s: want text or json", output)
			}
			status, err := clusterStatus(cmd.Context(), name, kubeconfig, kubeContext)
			if err != nil {
				return err
			}
			if err := printStatus(cmd.OutOrStdout(), status, output); err != nil {
				return err
			}
			if !status.Ready {
				return exitError(exitCouldNotRun)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&name, "name", kind.DefaultName, "name of the cluster")
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig file of a cluster that rollproof did not make")
	cmd.Flags().StringVar(&kubeContext, "context", "", "context of that file to use; it must be named, for the current context is never used")
	return cmd
}

func clusterStatus(ctx context.Context, name, kubeconfig, kubeContext string) (site.Status, error) {
	if kubeconfig != "" || kubeContext != "" {
		s, err := existing.Open(ctx, kubeconfig, kubeContext)
		if err != nil {
			return site.Status{}, err
		}
		return s.Status(ctx)
	}
	manager, err := kind.NewManager(ctx, kind.ManagerOptions{})
	if err != nil {
		return site.Status{}, err
	}
	defer manager.Close()
	return manager.Status(ctx, name)
}

func printStatus(out io.Writer, s site.Status, output string) error {
	if output == "json" {
		return json.NewEncoder(out).Encode(s)
	}
	ready := "ready"
	if !s.Ready {
		ready = "NOT ready: " + s.Note
	}
	fmt.Fprintf(out, "%s (%s): %s\n", s.Name, s.Provider, ready)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, node := range s.Nodes {
		fmt.Fprintf(table, "  %s\t%s\tready=%v\t%s\n", node.Name, node.Role, node.Ready, node.Version)
	}
	table.Flush()
	if _, err := os.Stat(s.Kubeconfig); err == nil {
		fmt.Fprintf(out, "  kubeconfig %s\n", s.Kubeconfig)
	}
	return nil
}
