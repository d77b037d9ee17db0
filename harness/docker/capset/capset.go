// Package capset trims the capabilities that a container asks for to those the machine can give.
//
// Docker asks the OCI runtime for every capability it knows when a container is privileged. In a restricted virtual machine even
// root's bounding set may lack some (CAP_SYS_RESOURCE is the usual one), and runc then fails with "unable to apply caps: operation
// not permitted". Intersecting the request with the bounding set changes nothing where nothing is missing.
package capset

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// names are the kernel's capability names by bit number (include/uapi/linux/capability.h).
var names = [...]string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID",
	"CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW",
	"CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT",
	"CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD",
	"CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG",
	"CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
}

// Set is a set of capabilities, one bit each, as the kernel numbers them.
type Set uint64

// Bounding reads the bounding set out of the text of a /proc/<pid>/status file: the most that any child can ever be given.
func Bounding(status string) (Set, error) {
	for line := range strings.Lines(status) {
		value, ok := strings.CutPrefix(line, "CapBnd:")
		if !ok {
			continue
		}
		bits, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		if err != nil {
			return 0, fmt.Errorf("read bounding set: %w", err)
		}
		return Set(bits), nil
	}
	return 0, fmt.Errorf("read bounding set: no CapBnd line")
}

// Missing names the capabilities that s lacks of those this package knows.
func (s Set) Missing() []string {
	var missing []string
	for bit, name := range names {
		if s&(1<<bit) == 0 {
			missing = append(missing, name)
		}
	}
	return missing
}

// lacks reports whether name is a capability that s does not hold. A name we do not know is left to runc to judge.
func (s Set) lacks(name string) bool {
	bit := slices.Index(names[:], strings.ToUpper(name))
	return bit >= 0 && s&(1<<bit) == 0
}

// Files names the files whose capabilities a runc command line makes runc read: config.json of the bundle for create, run and
// restore, the --process file for exec.
func Files(args []string) []string {
	sub, rest := subcommand(args)
	switch sub {
	case "create", "run", "restore":
		return []string{filepath.Join(flagValue(rest, "--bundle", "-b"), "config.json")}
	case "exec":
		if process := flagValue(rest, "--process", "-p"); process != "" {
			return []string{process}
		}
	}
	return nil
}

// subcommand skips runc's global flags; those listed take a value.
func subcommand(args []string) (name string, rest []string) {
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "--root", "--log", "--log-format", "--criu", "--rootless":
			i++
			continue
		}
		if !strings.HasPrefix(args[i], "-") {
			return args[i], args[i+1:]
		}
	}
	return "", nil
}

func flagValue(args []string, long, short string) string {
	for i, arg := range args {
		name, value, inline := strings.Cut(arg, "=")
		if name != long && name != short {
			continue
		}
		if inline {
			return value
		}
		if i+1 < len(args) {
			return args[i+1]
		}
	}
	return ""
}

// TrimFile intersects the capabilities in one config.json or process file with have, in place and atomically. A file that asks for
// nothing that is missing is not touched.
func TrimFile(path string, have Set) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	trimmed, err := Trim(raw, have)
	if err != nil {
		return fmt.Errorf("trim capabilities in %s: %w", path, err)
	}
	if bytes.Equal(raw, trimmed) {
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("stat %s: %w", path, err)
	}
	temp := path + ".trimmed"
	if err := os.WriteFile(temp, trimmed, info.Mode().Perm()); err != nil {
		return fmt.Errorf("write %s: %w", temp, err)
	}
	if err := os.Rename(temp, path); err != nil {
		os.Remove(temp)
		return fmt.Errorf("replace %s: %w", path, err)
	}
	return nil
}

// Trim intersects the capabilities of an OCI config (`process.capabilities`) or of an OCI process (`capabilities`) with have.
// Everything else is carried over as raw JSON, so that fields this package has never heard of survive. Input that needs no change
// is returned as it is.
func Trim(raw []byte, have Set) ([]byte, error) {
	var top map[string]json.RawMessage
	if err := json.Unmarshal(raw, &top); err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	changed, err := trimProcess(top, have)
	if err != nil {
		return nil, err
	}
	if process, ok := top["process"]; ok && !isNull(process) {
		var inner map[string]json.RawMessage
		if err := json.Unmarshal(process, &inner); err != nil {
			return nil, fmt.Errorf("parse process: %w", err)
		}
		inside, err := trimProcess(inner, have)
		if err != nil {
			return nil, err
		}
		if inside {
			changed = true
			if top["process"], err = marshal(inner); err != nil {
				return nil, err
			}
		}
	}
	if !changed {
		return raw, nil
	}
	return marshal(top)
}

func trimProcess(process map[string]json.RawMessage, have Set) (changed bool, err error) {
	raw, ok := process["capabilities"]
	if !ok || isNull(raw) {
		return false, nil
	}
	var sets map[string]json.RawMessage
	if err := json.Unmarshal(raw, &sets); err != nil {
		return false, fmt.Errorf("parse capabilities: %w", err)
	}
	for kind, list := range sets {
		var asked []string
		if json.Unmarshal(list, &asked) != nil {
			continue // not a list of names: nothing of ours to trim
		}
		kept := slices.DeleteFunc(slices.Clone(asked), have.lacks)
		if len(kept) == len(asked) {
			continue
		}
		changed = true
		if sets[kind], err = marshal(kept); err != nil {
			return false, err
		}
	}
	if changed {
		process["capabilities"], err = marshal(sets)
	}
	return changed, err
}

func isNull(raw json.RawMessage) bool { return bytes.Equal(bytes.TrimSpace(raw), []byte("null")) }

// marshal keeps <, > and & as they are: an argument of a container is not HTML.
func marshal(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return bytes.TrimRight(out.Bytes(), "\n"), nil
}
