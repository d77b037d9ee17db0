// Command rollproof-oci is the OCI runtime that `make docker` registers with an engine it starts: it drops the capabilities the
// machine cannot give from what the container asks for, and then becomes runc. Package capset says why.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"bitvault.dev/rollproof/harness/docker/capset"
)

func main() {
	err := becomeRunc(os.Args[1:])
	fmt.Fprintln(os.Stderr, "rollproof-oci:", err)
	os.Exit(1)
}

// becomeRunc returns only on failure: on success the process has become runc.
func becomeRunc(args []string) error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return fmt.Errorf("read own capabilities: %w", err)
	}
	have, err := capset.Bounding(string(status))
	if err != nil {
		return err
	}
	for _, path := range capset.Files(args) {
		if err := capset.TrimFile(path, have); err != nil {
			return err
		}
	}
	runc, err := findRunc()
	if err != nil {
		return err
	}
	return fmt.Errorf("become %s: %w", runc, syscall.Exec(runc, append([]string{runc}, args...), os.Environ()))
}

func findRunc() (string, error) {
	if path, err := exec.LookPath("runc"); err == nil {
		return path, nil
	}
	for _, path := range []string{"/usr/sbin/runc", "/usr/bin/runc", "/usr/local/sbin/runc", "/usr/local/bin/runc"} {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("find runc: not in PATH nor in the usual folders; install the package runc")
}
