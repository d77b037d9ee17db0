package load

import (
	"io"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// CommandLine is a command line as it may be recorded and shown: without the passwords of URLs and the values of header fields, wherever
// they stand, also behind a flag that is mistyped or wants something else.
type CommandLine struct {
	Args []string // without what is secret

	echoes  [][2]string // what a message may repeat of an argument, and what stands for it; the longest first
	secrets secrets
}

// ReadCommandLine finds what is secret in the arguments of a command.
func ReadCommandLine(args []string) *CommandLine {
	c := &CommandLine{}
	flag := ""     // whose value the next argument is
	split := false // a header field goes on: the shell took a blank in it for the end of the argument
	for _, arg := range args {
		name, value, assigned := cutFlag(arg)
		isFlag := strings.HasPrefix(arg, "-") && !confidential.MatchString(arg)
		switch {
		case flag != "" && (isHeader(flag) || !isFlag):
			c.Args = append(c.Args, c.value(flag, arg))
			split, flag = isHeader(flag) && strings.HasSuffix(arg, ":"), ""
		case assigned:
			c.Args = append(c.Args, arg[:len(arg)-len(value)]+c.value(name, value))
			split, flag = isHeader(name) && strings.HasSuffix(value, ":"), ""
		case isFlag:
			c.Args = append(c.Args, c.value("", arg)) // what is mistyped may hold a URL
			split, flag = false, arg
		case split:
			c.Args = append(c.Args, c.value("--header", arg))
		default:
			c.Args = append(c.Args, c.value("", arg))
		}
	}
	c.secrets.sort()
	slices.SortStableFunc(c.echoes, func(a, b [2]string) int { return len(b[0]) - len(a[0]) })
	return c
}

// cutFlag parts --flag=value, and -Hvalue as curl takes it.
func cutFlag(arg string) (flag, value string, assigned bool) {
	if strings.HasPrefix(arg, "-H") && len(arg) > len("-H") {
		return "-H", strings.TrimPrefix(arg[2:], "="), true
	}
	flag, value, assigned = strings.Cut(arg, "=")
	return flag, value, assigned && strings.HasPrefix(arg, "-") && !strings.ContainsAny(flag, ": /")
}

func isHeader(flag string) bool {
	name := strings.TrimLeft(flag, "-")
	return name != flag && (name == "H" || strings.HasPrefix(strings.ToLower(name), "header"))
}

func isURL(flag string) bool { return flag == "--target" || flag == "--control" }

// noScheme is what somebody may mean as a URL with a password. An @ alone is common in names of files.
var noScheme = regexp.MustCompile(`^[^/@\s]*:[^@\s]*@`)

// confidential finds the name of a header field that is secret by its name, also where no header was wanted. The name of a host in a URL is none.
var confidential = regexp.MustCompile(`(?i)(?:^|[-:\s"\[,])([a-z0-9-]*(?:auth|cookie|token|key|secret|passw|credential|session)[a-z0-9-]*):`)

// value takes what is secret out of the value of a flag, or of an argument that belongs to none.
func (c *CommandLine) value(flag, text string) string {
	shown := text
	field := confidential.FindStringSubmatchIndex(text)
	switch name, value, found := strings.Cut(text, ":"); {
	case isHeader(flag) && !found:
		shown = redacted
		c.secrets.addWords(text)
	case isHeader(flag):
		shown = name + ": " + redacted
		c.addField(name, strings.TrimSpace(value))
	case holdsUser(text) || isURL(flag) && strings.Contains(text, "@") || flag == "" && noScheme.MatchString(text):
		if shown = withoutUser(text); shown != text {
			c.addUser(text)
		}
	case field != nil:
		shown = text[:field[1]] + " " + redacted
		c.addField(text[field[2]:field[3]], strings.TrimSpace(text[field[1]:]))
	}
	if shown != text {
		c.echo(text, shown)
	}
	return shown
}

// addField takes a header field. The value of one that its name does not call secret, such as Host, may stand in messages for other reasons:
// it is taken out only where the field stands.
func (c *CommandLine) addField(name, value string) {
	if value == "" {
		return
	}
	c.echo(name+":"+value, name+": "+redacted)
	c.echo(name+": "+value, name+": "+redacted)
	if confidential.MatchString(name + ":") {
		c.secrets.addField(name, value)
	}
}

// addUser takes user and password of a URL, as they were written and as they are meant.
func (c *CommandLine) addUser(text string) {
	begin, end, _ := userIn(text)
	user := text[begin:end]
	c.echo(user+"@", redacted+"@")
	_, password, found := strings.Cut(user, ":")
	if !found {
		password = user
	}
	c.secrets.addWords(password)
	if plain, err := url.PathUnescape(password); err == nil {
		c.secrets.addWords(plain)
	}
}

// HoldsSecret reports whether a text holds what is kept secret by its form: user or password of a URL, or of what was meant as one, or a
// header field such as Authorization.
func HoldsSecret(text string) bool { return holdsUser(text) || confidential.MatchString(text) }

func holdsUser(text string) bool {
	begin, _, found := userIn(text)
	return found && begin > 0
}

// echo takes a text that a message may repeat, as it is or quoted. A short one that nothing marks is repeated by chance: only quoted it is meant.
func (c *CommandLine) echo(text, shown string) {
	if len(text) < minSecret && !strings.ContainsAny(text, ":@") {
		text, shown = strconv.Quote(text), strconv.Quote(shown)
	}
	was, is := formsOf(text), formsOf(shown)
	for i := range was {
		c.echoes = append(c.echoes, [2]string{was[i], is[i]})
	}
}

// IsOpen reports whether nothing in the command line is secret.
func (c *CommandLine) IsOpen() bool { return len(c.echoes) == 0 && len(c.secrets) == 0 }

// Redact takes what is secret in the command line out of a text.
func (c *CommandLine) Redact(text string) string {
	for _, echo := range c.echoes {
		text = strings.ReplaceAll(text, echo[0], echo[1])
	}
	return c.secrets.scrubText(text)
}

// Writer redacts each text that is written to it. A secret that is written in two parts is not seen: write whole lines.
func (c *CommandLine) Writer(w io.Writer) io.Writer {
	if c.IsOpen() {
		return w
	}
	return &redactor{Writer: w, line: c}
}

type redactor struct {
	io.Writer
	line *CommandLine
}

func (r *redactor) Write(p []byte) (int, error) {
	if _, err := io.WriteString(r.Writer, r.line.Redact(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Unwrap is what is written to in the end.
func (r *redactor) Unwrap() io.Writer { return r.Writer }
