package load

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
)

// redacted stands for what no record may hold.
const redacted = "redacted"

// minSecret is the length in bytes from which a value is looked for in answers: shorter ones are in every text by chance.
const minSecret = 6

// secrets are values that no record may hold: some servers put the request's headers into the page that tells of an error.
type secrets []string

// secretsOf are the credentials of targets and the values of headers that the user gave, the longest first.
func secretsOf(targets []string, header http.Header) secrets {
	var all secrets
	add := func(value string) {
		if len(value) >= minSecret && !slices.Contains(all, value) {
			all = append(all, value)
		}
	}
	addCredentials := func(value string) {
		add(value)
		scheme, credentials, _ := strings.Cut(value, " ")
		add(credentials)
		if strings.EqualFold(scheme, "Basic") {
			if plain, err := base64.StdEncoding.DecodeString(credentials); err == nil {
				_, password, _ := strings.Cut(string(plain), ":")
				add(password)
			}
		}
	}
	for _, raw := range targets {
		if t, err := parseTarget(raw); err == nil && t.auth != "" {
			addCredentials(t.auth)
		}
	}
	for name, values := range header {
		for _, value := range values {
			if name == "Authorization" || name == "Proxy-Authorization" {
				addCredentials(value)
				continue
			}
			add(value)
		}
	}
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	return all
}

// scrub replaces every secret in a text.
func (s secrets) scrub(text []byte) []byte {
	for _, secret := range s {
		text = bytes.ReplaceAll(text, []byte(secret), []byte(redacted))
	}
	return text
}

// scrubBeginning is scrub for a text whose end is missing: it may end within a secret.
func (s secrets) scrubBeginning(text []byte) []byte {
	text = s.scrub(text)
	for _, secret := range s {
		for n := min(len(secret)-1, len(text)); n >= minSecret/2; n-- {
			if bytes.HasSuffix(text, []byte(secret[:n])) {
				text = append(text[:len(text)-n:len(text)-n], redacted...)
				break
			}
		}
	}
	return text
}
