package load

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
)

// target is one URL of an arm. Its user and password are apart: they go over the wire and into no record.
type target struct {
	url  *url.URL // without user and password
	text string   // of url
	auth string   // what Authorization says by default; empty when the URL names no user
}

func parseTarget(raw string) (*target, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("target %q: want a URL like http://127.0.0.1:8080/path", withoutUser(raw))
	}
	t := &target{url: u}
	if user := u.User; user != nil {
		password, _ := user.Password()
		t.auth = "Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)) // RFC 7617
		u.User = nil
	}
	t.text = u.String()
	return t, nil
}

// base is the target as the paths of a traffic file are appended to it.
func (t *target) base() (string, error) {
	if t.url.RawQuery != "" || t.url.ForceQuery || t.url.Fragment != "" {
		return "", fmt.Errorf("target %q: the paths of a traffic file are appended to it, so it cannot hold a ? or a #: leave them out", t.text)
	}
	return strings.TrimSuffix(t.text, "/"), nil
}

// shownTargets are URLs as they are recorded and printed: without user and password.
func shownTargets(targets []string) []string {
	shown := make([]string, len(targets))
	for i, raw := range targets {
		shown[i] = withoutUser(raw)
		if t, err := parseTarget(raw); err == nil {
			shown[i] = t.text
		}
	}
	return shown
}

// Redact replaces user and password of a URL. What is no URL with a user it returns as it is.
func Redact(raw string) string {
	u, err := url.Parse(raw)
	if err == nil && u.User == nil && u.Host != "" {
		return raw // an @ in its path is no password
	}
	return withoutUser(raw)
}

// withoutUser replaces all that may be a password, also in what is no URL because of it.
func withoutUser(raw string) string {
	begin, end, found := userIn(raw)
	if !found {
		return raw
	}
	return raw[:begin] + redacted + raw[end:]
}

// userIn is where user and password stand in a URL, or in what somebody took for one: raw[end] is the @.
func userIn(raw string) (begin, end int, found bool) {
	if i := strings.Index(raw, "//"); i == 0 || i > 0 && raw[i-1] == ':' {
		begin = i + len("//")
	}
	last := len(raw)
	if u, err := url.Parse(raw); err == nil && u.Host != "" {
		if i := strings.IndexAny(raw[begin:], "/?#"); i >= 0 {
			last = begin + i
		}
	}
	at := strings.LastIndex(raw[begin:last], "@")
	return begin, begin + at, at >= 0
}
