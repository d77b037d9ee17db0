package accesslog

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
)

// million streams a log of a million lines, so that the log itself takes no memory.
func million(line func(i int) string) io.Reader {
	out, in := io.Pipe()
	go func() {
		w := bufio.NewWriterSize(in, 1<<16)
		for i := range 1_000_000 {
			_, _ = w.WriteString(line(i))
		}
		_ = in.CloseWithError(w.Flush())
	}()
	return out
}

// BenchmarkMillion converts a million lines of each format's example, 40 a second, each with a path of its own. It includes making them.
func BenchmarkMillion(b *testing.B) {
	for _, f := range Formats() {
		example := f.Example[strings.LastIndexByte(f.Example, '\n')+1:]
		header := strings.TrimSuffix(f.Example, example)
		b.Run(f.Name, func(b *testing.B) {
			for b.Loop() {
				log, err := Read(io.MultiReader(strings.NewReader(header), million(func(i int) string {
					at := fmt.Sprintf("%02d:%02d:%02d", i/144_000%24, i/2400%60, i/40%60)
					return strings.Replace(example, "13:55:36", at, 1) + "\n"
				})), Options{Format: f.Name})
				if err != nil {
					b.Fatal(err)
				}
				for e, err := range log.Entries() {
					if err == nil {
						err = e.Write(io.Discard)
					}
					if err != nil {
						b.Fatal(err)
					}
				}
				if err := log.Close(); err != nil || log.Requests != 1_000_000 {
					b.Fatalf("%d requests, %v", log.Requests, err)
				}
			}
		})
	}
}
