package load

import (
	"fmt"
	"net/http"
	"strings"
)

// ParseHeader reads header fields of the form "Name: value", as curl takes them. A name may come several times. Errors name the
// field and never its value, which may be secret.
func ParseHeader(lines []string) (http.Header, error) {
	header := http.Header{}
	for i, line := range lines {
		name, value, found := strings.Cut(line, ":")
		if name, value = strings.TrimSpace(name), strings.TrimSpace(value); !found || name == "" || value == "" {
			return nil, fmt.Errorf("header %d: want one like 'Name: value'", i+1)
		}
		if err := checkField(name, []string{value}); err != nil {
			return nil, err
		}
		header.Add(name, value)
	}
	return header, nil
}
