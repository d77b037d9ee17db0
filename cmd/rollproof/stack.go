package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"bitvault.dev/rollproof/fixtures/stack"
	"bitvault.dev/rollproof/fixtures/stack/component"
	"bitvault.dev/rollproof/fixtures/stack/manifest"
	"bitvault.dev/rollproof/harness/images"
)

// newStackCommand groups what shows the stack under test.
func newStackCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stack",
		Short: "Show the stack under test as it would be installed",
	}
	cmd.AddCommand(newStackRenderCommand())
	return cmd
}

func newStackRenderCommand() *cobra.Command {
	var pace string
	var with, faults []string
	cmd := &cobra.Command{
		Use:   "render [component...]",
		Short: "Print the manifests of components (all by default) as they would be installed",
		Long: `Print the manifests of components as YAML: their base in fixtures/stack with the pace, the variants and the planted faults on top of it. No
cluster is needed. A fault that does not change what it is meant to change is an error.

Which digest an image has is known when it is published to a cluster: in its place stands not-published.invalid/<component>.`,
		Example: `  rollproof stack render bitvaultd --pace spec
  diff <(rollproof stack render bitvaultd) <(rollproof stack render bitvaultd --fault no-pre-stop)`,
		RunE: func(cmd *cobra.Command, names []string) error {
			components, err := stack.Components(names...)
			if err != nil {
				return err
			}
			if len(names) > 0 { // not what they need
				components = slices.DeleteFunc(components, func(c component.Component) bool { return !slices.Contains(names, c.Name) })
			}
			root, err := images.FindRoot(".")
			if err != nil {
				return err
			}
			rendered, err := stack.Render(cmd.Context(), components, component.Options{
				From: manifest.Unpublished(root, stack.Images(components)...), Pace: pace, With: with, Faults: faults,
			})
			if err != nil {
				return err
			}
			return printManifests(cmd.OutOrStdout(), components, rendered)
		},
	}
	cmd.Flags().StringVar(&pace, "pace", "fast", "pace of the strategy: fast, or spec for its own windows of minutes")
	cmd.Flags().StringArrayVar(&with, "with", nil, "variant to render, named as its folder in fixtures/stack/<component>/with; repeat the flag for more")
	cmd.Flags().StringArrayVar(&faults, "fault", nil, "fault to plant, named as its folder in fixtures/stack/<component>/faults; repeat the flag for more")
	return cmd
}

// printManifests writes what is applied, in its order, and names what is removed.
func printManifests(w io.Writer, components []component.Component, rendered []component.Manifests) error {
	for i, m := range rendered {
		fmt.Fprintf(w, "# %s\n", components[i].Name)
		for _, objects := range [][]*unstructured.Unstructured{m.Definitions, m.Objects} {
			for _, o := range objects {
				text, err := yaml.Marshal(o.Object)
				if err != nil {
					return fmt.Errorf("print %s %s: %w", o.GetKind(), o.GetName(), err)
				}
				fmt.Fprintf(w, "---\n%s", text)
			}
		}
		for _, o := range m.Absent {
			fmt.Fprintf(w, "# removed where it is there: %s %s/%s\n", o.GetKind(), o.GetNamespace(), o.GetName())
		}
	}
	return nil
}
