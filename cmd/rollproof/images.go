package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"bitvault.dev/rollproof/harness/docker"
	"bitvault.dev/rollproof/harness/images"
	"bitvault.dev/rollproof/harness/progress"
)

const imagesHelp = `Components are the folders of fixtures/images: each has a component.yaml that says what its image is made of.
What went into an image is its lock; as long as the lock is the same, nothing is built again.

Where images come from (--images):
  source       build them here, from pinned modules and Debian packages
  pull         take those with an upstream image from its registry; our own are always built
  bundle:FILE  take them from a file that "rollproof images save" wrote
  auto         what is cached; else pull if the registries answer within 3 s, else source`

// newImagesCommand groups what handles container images.
func newImagesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "images",
		Short: "Build, list, save and load the container images of the stack",
		Long:  imagesHelp + "\n\nThe cache is rollproof in the user's cache folder; ROLLPROOF_CACHE names another place.",
	}
	var source string
	cmd.PersistentFlags().StringVar(&source, "images", "auto", "where images come from: source, pull, bundle:FILE or auto")
	cmd.AddCommand(newImagesBuildCommand(&source), newImagesListCommand(&source), newImagesSaveCommand(&source),
		newImagesLoadCommand(&source), newImagesPruneCommand(&source))
	return cmd
}

// withStore runs fn with the opened image cache, and with progress on standard error.
func withStore(cmd *cobra.Command, source string, fn func(ctx context.Context, store *images.Store) error) error {
	show := displayOf(cmd)
	store, err := images.Open(cmd.Context(), images.Options{Source: source, Progress: show, EnsureEngine: engineWhenNeeded(show)})
	if err != nil {
		return err
	}
	return fn(cmd.Context(), store)
}

// engineWhenNeeded installs or starts a Docker engine, if it comes to that: most images are made without one.
func engineWhenNeeded(show *progress.Display) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		step := show.Start("Docker engine")
		_, err := docker.Ensure(ctx, step.Say)
		return step.Done(err)
	}
}

func newImagesBuildCommand(source *string) *cobra.Command {
	return &cobra.Command{
		Use:   "build [component...]",
		Short: "Make the images of components (all by default) and of what they are made of",
		Long: imagesHelp + `

An interrupted build goes on where it stopped. Logs of single builds are in the cache, under images/logs.`,
		Annotations: map[string]string{onInterrupt: "what is being built is stopped, in seconds; the next build goes on from there"},
		Example:     "  rollproof images build\n  rollproof images build node --images=source",
		RunE: func(cmd *cobra.Command, names []string) error {
			return withStore(cmd, *source, func(ctx context.Context, store *images.Store) error {
				made, err := store.Ensure(ctx, names...)
				if err != nil {
					return err
				}
				return printImages(cmd.OutOrStdout(), made)
			})
		},
	}
}

func newImagesListCommand(source *string) *cobra.Command {
	var why bool
	var output string
	cmd := &cobra.Command{
		Use:   "list [component...]",
		Short: "Show what is cached, and with --why what would be built and why",
		Example: `  rollproof images list --why
  rollproof images list --output json | jq '.[] | select(.cached | not) | .component'`,
		RunE: func(cmd *cobra.Command, names []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("--output=%s: choose text or json", output)
			}
			return withStore(cmd, *source, func(ctx context.Context, store *images.Store) error {
				states, err := store.List(ctx, names...)
				if err != nil {
					return err
				}
				if output == "json" {
					return printJSON(cmd.OutOrStdout(), states)
				}
				return printStates(cmd.OutOrStdout(), states, why, time.Now())
			})
		},
	}
	cmd.Flags().BoolVar(&why, "why", false, "say of each image that is not cached what differs first from the newest one of it")
	cmd.Flags().StringVar(&output, "output", "text", "text or json")
	return cmd
}

func newImagesSaveCommand(source *string) *cobra.Command {
	return &cobra.Command{
		Use:   "save FILE [component...]",
		Short: "Write images (all by default) to one file for machines without a network",
		Long: `Write images, their locks and everything they are made of to one file, after making what is missing.
The file is a tar of an OCI image layout. On the other machine: rollproof images load FILE, or --images=bundle:FILE.`,
		Example: "  rollproof images save rollproof-images.tar",
		Args:    arguments(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd, *source, func(ctx context.Context, store *images.Store) error {
				saved, err := store.Save(ctx, args[0], args[1:]...)
				if err != nil {
					return err
				}
				return printImages(cmd.OutOrStdout(), saved)
			})
		},
	}
}

func newImagesLoadCommand(source *string) *cobra.Command {
	return &cobra.Command{
		Use:   "load FILE",
		Short: "Take the images of a saved file into the cache",
		Long: `Take the images of a file that "rollproof images save" wrote into the cache. Every byte is checked first:
a file that is truncated or altered is refused, and the cache stays as it was.`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd, *source, func(ctx context.Context, store *images.Store) error {
				loaded, err := store.Load(ctx, args[0])
				if err != nil {
					return err
				}
				return printImages(cmd.OutOrStdout(), loaded)
			})
		},
	}
}

func newImagesPruneCommand(source *string) *cobra.Command {
	return &cobra.Command{
		Use:   "prune",
		Short: "Remove cached images and binaries that no component's present lock names",
		Long: `Remove cached images and binaries that no component's present lock names, and what interrupted builds left.
Running clusters and the images inside of the Docker engine are not touched.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, *source, func(ctx context.Context, store *images.Store) error {
				freed, err := store.Prune(ctx)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "freed %s (%d images and builds)\n", size(freed.Bytes), freed.Images)
				return err
			})
		},
	}
}

func printJSON(w io.Writer, value any) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(value)
}

func printImages(w io.Writer, made []images.Image) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "COMPONENT\tVERSION\tSOURCE\tSIZE\tDIGEST")
	for _, img := range made {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", img.Component, img.Version, img.Source, size(img.Size), img.Digest)
	}
	return table.Flush()
}

func printStates(w io.Writer, states []images.State, why bool, now time.Time) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	header := "COMPONENT\tVERSION\tSOURCE\tSIZE\tAGE\tCACHED"
	if why {
		header += "\tWHY IT WOULD BE BUILT"
	}
	fmt.Fprintln(table, header)
	for _, st := range states {
		row := []string{st.Component, st.Version, "-", "-", "-", "no"}
		if st.Cached {
			row = []string{st.Component, st.Version, st.Source, size(st.Size), age(now.Sub(st.Built)), "yes"}
		}
		if why {
			row = append(row, st.Why)
		}
		fmt.Fprintln(table, strings.TrimRight(strings.Join(row, "\t"), "\t"))
	}
	return table.Flush()
}

// size is bytes as people say them, in decimal units as docker prints them.
func size(bytes int64) string {
	switch {
	case bytes >= 1e9:
		return fmt.Sprintf("%.2f GB", float64(bytes)/1e9)
	case bytes >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(bytes)/1e6)
	default:
		return fmt.Sprintf("%.1f kB", float64(bytes)/1e3)
	}
}

// age is a duration in its largest unit.
func age(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	case d >= time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	}
}
