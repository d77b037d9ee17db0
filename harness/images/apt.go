package images

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// aptSource is one place packages come from.
type aptSource struct {
	uri        string
	suite      string
	components []string
}

// aptSources are the machine's own package sources. Which mirror a machine uses is its business: it is read, used to build, and kept
// out of what is built.
type aptSources []aptSource

// machineSources reads sources.list and sources.list.d of dir, in both formats (sources.list(5)). Without any the result is empty.
func machineSources(dir string) (aptSources, error) {
	var all aptSources
	files, err := filepath.Glob(filepath.Join(dir, "sources.list.d", "*"))
	if err != nil {
		return nil, err
	}
	for _, file := range append([]string{filepath.Join(dir, "sources.list")}, files...) {
		data, err := os.ReadFile(file)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read package sources: %w", err)
		}
		switch filepath.Ext(file) {
		case ".list":
			all = append(all, parseList(data)...)
		case ".sources":
			all = append(all, parseDeb822(data)...)
		}
	}
	return all, nil
}

// parseList reads the one-line format: deb [options] uri suite components. What is not of that form is skipped, as apt may know more.
func parseList(data []byte) aptSources {
	var all aptSources
	for scan := bufio.NewScanner(bytes.NewReader(data)); scan.Scan(); {
		line, _, _ := strings.Cut(scan.Text(), "#")
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "deb ")
		if !ok {
			continue
		}
		rest = strings.TrimSpace(rest)
		if strings.HasPrefix(rest, "[") {
			_, after, closed := strings.Cut(rest, "]")
			if !closed {
				continue
			}
			rest = after
		}
		if part := strings.Fields(rest); len(part) >= 3 {
			all = append(all, aptSource{uri: part[0], suite: part[1], components: part[2:]})
		}
	}
	return all
}

// parseDeb822 reads the stanza format: every URI with every suite of each enabled stanza of type deb.
func parseDeb822(data []byte) aptSources {
	var all aptSources
	fields, last := map[string]string{}, ""
	flush := func() {
		if slices.Contains(strings.Fields(fields["types"]), "deb") && !strings.EqualFold(strings.TrimSpace(fields["enabled"]), "no") {
			for _, uri := range strings.Fields(fields["uris"]) {
				for _, suite := range strings.Fields(fields["suites"]) {
					all = append(all, aptSource{uri: uri, suite: suite, components: strings.Fields(fields["components"])})
				}
			}
		}
		fields, last = map[string]string{}, ""
	}
	for scan := bufio.NewScanner(bytes.NewReader(data)); scan.Scan(); {
		line := scan.Text()
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.TrimSpace(line) == "":
			flush()
		case line[0] == ' ' || line[0] == '\t':
			if last != "" {
				fields[last] += " " + strings.TrimSpace(line)
			}
		default:
			key, value, _ := strings.Cut(line, ":")
			last = strings.ToLower(strings.TrimSpace(key))
			fields[last] = strings.TrimSpace(value)
		}
	}
	flush()
	return all
}

// of returns the sources of a Debian suite and of its updates and security fixes.
func (all aptSources) of(suite string) aptSources {
	var some aptSources
	for _, s := range all {
		ours := s.suite == suite || s.suite == suite+"-updates" || s.suite == suite+"-security"
		if ours && slices.Contains(s.components, "main") && strings.HasPrefix(s.uri, "http") {
			some = append(some, s)
		}
	}
	return some
}

// mirror is where the suite itself comes from, empty when the machine names none.
func (all aptSources) mirror(suite string) string {
	for _, s := range all.of(suite) {
		if s.suite == suite {
			return s.uri
		}
	}
	return ""
}

// list writes sources in the one-line format, with the component main only.
func (all aptSources) list() string {
	var text strings.Builder
	for _, s := range all {
		fmt.Fprintf(&text, "deb %s %s main\n", s.uri, s.suite)
	}
	return text.String()
}
