package history

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// openFile opens a file of a record to read it. What is no regular file is refused before it is opened: whoever reads a named pipe, or a
// terminal, may wait for ever.
func openFile(path string) (*os.File, error) {
	if err := regular(path); err != nil {
		return nil, err
	}
	return os.Open(path)
}

func readFile(path string) ([]byte, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// regular says what a path is that is no regular file, nor a link to one.
func regular(path string) error {
	info, err := os.Stat(path)
	if err != nil || info.Mode().IsRegular() {
		return err
	}
	what := "no regular file"
	switch mode := info.Mode(); {
	case mode.IsDir():
		what = "a directory"
	case mode&fs.ModeNamedPipe != 0:
		what = "a named pipe"
	case mode&fs.ModeSocket != 0:
		what = "a socket"
	case mode&fs.ModeDevice != 0:
		what = "a device"
	}
	return fmt.Errorf("%s is %s, want a file", path, what)
}

// regular says which file of the record is none. One that is missing is damage, which is told elsewhere.
func (h *History) regular() error {
	names := []string{eventsFile, runFile}
	arms, err := h.Arms()
	if err != nil {
		return err
	}
	for _, arm := range arms {
		names = append(names, hitsFile(arm))
	}
	for _, name := range names {
		path := filepath.Join(h.dir, name)
		if _, err := os.Lstat(path); err != nil {
			continue
		}
		if err := regular(path); err != nil {
			return err
		}
	}
	return nil
}
