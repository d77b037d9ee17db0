package main

import (
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"bitvault.dev/rollproof/harness/images"
	"bitvault.dev/rollproof/harness/progress"
)

// openDisplay makes the one display of this process. Usual durations are remembered in the cache; without a cache there are none.
func openDisplay(out io.Writer) *progress.Display {
	memory := ""
	if cache, err := images.CacheDir(); err == nil {
		memory = filepath.Join(cache, "durations.json")
	}
	return progress.New(out, memory)
}

// displayOf is where a command says what it does. Everything that goes to its standard error goes through it; execute opens and closes
// it, and nobody else does.
func displayOf(cmd *cobra.Command) *progress.Display {
	if display, ok := cmd.ErrOrStderr().(*progress.Display); ok {
		return display
	}
	return openDisplay(cmd.ErrOrStderr())
}
