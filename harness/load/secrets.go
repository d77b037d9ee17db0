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
	for _, raw := range targets {
		if t, err := parseTarget(raw); err == nil && t.auth != "" {
			all.addCredentials(t.auth)
		}
	}
	for name, values := range header {
		for _, value := range values {
			all.addField(name, value)
		}
	}
	all.sort()
	return all
}

// add takes a value that is kept secret, in all its forms. One that is too short is in every text by chance.
func (s *secrets) add(value string) {
	if len(value) < minSecret {
		return
	}
	for _, form := range formsOf(value) {
		if !slices.Contains(*s, form) {
			*s = append(*s, form)
		}
	}
}

// addField takes the value of a header field, and each word of it: a server may write one cookie of several, or a token without its scheme.
func (s *secrets) addField(name, value string) {
	if name = http.CanonicalHeaderKey(name); name == "Authorization" || name == "Proxy-Authorization" {
		s.addCredentials(value)
		return
	}
	s.addWords(value)
}

// addCredentials takes what Authorization says (RFC 9110, 11.4): the scheme before the first blank is no secret.
func (s *secrets) addCredentials(value string) {
	s.add(value)
	scheme, credentials, _ := strings.Cut(value, " ")
	s.addWords(credentials)
	if strings.EqualFold(scheme, "Basic") {
		if plain, err := base64.StdEncoding.DecodeString(credentials); err == nil {
			_, password, _ := strings.Cut(string(plain), ":")
			s.addWords(password)
		}
	}
}

// addWords takes a value whole and word by word; of a word like name=value, the value too.
func (s *secrets) addWords(value string) {
	s.add(value)
	for _, word := range strings.FieldsFunc(value, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' || r == ';' }) {
		s.add(word)
		if _, named, found := strings.Cut(word, "="); found {
			s.add(strings.Trim(named, `"`))
		}
	}
}

// sort puts the longest first: a shorter one may be a part of it.
func (s *secrets) sort() {
	slices.SortStableFunc(*s, func(a, b string) int { return len(b) - len(a) })
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

// excerptLen is how much of what a server said stands in an error, in bytes.
const excerptLen = 100

// excerpt quotes the beginning of what a server said. Secrets are replaced before it is cut: half a secret is none that could be found.
func (s secrets) excerpt(text string) string {
	text = s.scrubText(text)
	return strconv.Quote(text[:min(len(text), excerptLen)])
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
