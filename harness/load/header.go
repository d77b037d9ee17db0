package load

import (
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// CheckFieldName says what is wrong with the name of a header field. It is a token (RFC 9110, 5.1).
func CheckFieldName(name string) error {
	if !httpguts.ValidHeaderFieldName(name) {
		return fmt.Errorf("header %q: want a field name like X-Version", name)
	}
	return nil
}

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
