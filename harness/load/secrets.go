package load

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strconv"
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
		if len(value) < minSecret {
			return
		}
		for _, form := range formsOf(value) {
			if !slices.Contains(all, form) {
				all = append(all, form)
			}
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

// formsOf are the ways in which a server, or an error of net/http, writes a value into a text: as it is, in a URL, in HTML, in JSON, quoted by Go.
func formsOf(value string) []string {
	quoted := func(text string) string { return text[1 : len(text)-1] }
	forms := []string{
		value, html.EscapeString(value), url.QueryEscape(value), url.PathEscape(value),
		strings.TrimPrefix(url.UserPassword("", value).String(), ":"), quoted(strconv.Quote(value)),
	}
	if text, err := json.Marshal(value); err == nil { // which also escapes <, > and &; without that it is as Go quotes it
		forms = append(forms, quoted(string(text)))
	}
	return forms
}

// scrubText is scrub for what is a string.
func (s secrets) scrubText(text string) string {
	for _, secret := range s {
		text = strings.ReplaceAll(text, secret, redacted) // the same string, without a copy, where there is none
	}
	return text
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
