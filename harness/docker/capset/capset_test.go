package capset

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// restricted is the set seen on a virtual machine whose root lacks CAP_SYS_RESOURCE alone.
const restricted Set = 0x000001fffeffffff

func TestNamesAreTheKernelsNumbers(t *testing.T) {
	for name, bit := range map[string]int{
		"CAP_CHOWN": unix.CAP_CHOWN, "CAP_NET_ADMIN": unix.CAP_NET_ADMIN, "CAP_SYS_ADMIN": unix.CAP_SYS_ADMIN, "CAP_MKNOD": unix.CAP_MKNOD,
		"CAP_SYS_RESOURCE": unix.CAP_SYS_RESOURCE, "CAP_SETFCAP": unix.CAP_SETFCAP, "CAP_SYSLOG": unix.CAP_SYSLOG,
		"CAP_AUDIT_READ": unix.CAP_AUDIT_READ, "CAP_CHECKPOINT_RESTORE": unix.CAP_CHECKPOINT_RESTORE,
	} {
		if names[bit] != name {
			t.Errorf("bit %d is called %s, want %s", bit, names[bit], name)
		}
	}
	if len(names) != unix.CAP_LAST_CAP+1 {
		t.Errorf("%d names, the kernel headers know %d", len(names), unix.CAP_LAST_CAP+1)
	}
}

func TestBounding(t *testing.T) {
	got, err := Bounding("Name:\tx\nCapEff:\t0000000000000000\nCapBnd:\t000001fffeffffff\nCapAmb:\t0\n")
	if err != nil || got != restricted {
		t.Fatalf("got %x, %v", got, err)
	}
	if missing := got.Missing(); !slices.Equal(missing, []string{"CAP_SYS_RESOURCE"}) {
		t.Errorf("missing %q, want CAP_SYS_RESOURCE alone", missing)
	}
	for _, bad := range []string{"", "CapBnd:\tzz\n"} {
		if _, err := Bounding(bad); err == nil {
			t.Errorf("Bounding(%q) gave no error", bad)
		}
	}
}

func TestTrim(t *testing.T) {
	cases := map[string]struct{ in, want string }{
		"config of a bundle": {
			`{"ociVersion":"1.0.2","process":{"args":["a","<&>"],"capabilities":{"bounding":["CAP_CHOWN","CAP_SYS_RESOURCE"],"effective":["CAP_SYS_RESOURCE"]}}}`,
			`{"ociVersion":"1.0.2","process":{"args":["a","<&>"],"capabilities":{"bounding":["CAP_CHOWN"],"effective":[]}}}`,
		},
		"process file of an exec": {
			`{"terminal":true,"capabilities":{"permitted":["CAP_SYS_RESOURCE","CAP_KILL"]}}`,
			`{"capabilities":{"permitted":["CAP_KILL"]},"terminal":true}`,
		},
		"fields nobody knows survive, also big numbers": {
			`{"x-new":{"deep":[1,{"n":18446744073709551615}]},"process":{"x":1e400,"capabilities":{"future":{"a":1},"bounding":["CAP_SYS_RESOURCE","CAP_FROM_THE_FUTURE"]}}}`,
			`{"process":{"capabilities":{"bounding":["CAP_FROM_THE_FUTURE"],"future":{"a":1}},"x":1e400},"x-new":{"deep":[1,{"n":18446744073709551615}]}}`,
		},
		"nothing missing: byte for byte": {`{ "process" : {"capabilities":{"bounding":["CAP_KILL"]}} }`, `{ "process" : {"capabilities":{"bounding":["CAP_KILL"]}} }`},
		"no capabilities":                {`{"process":{}}`, `{"process":{}}`},
		"null":                           {`{"process":null,"capabilities":null}`, `{"process":null,"capabilities":null}`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Trim([]byte(c.in), restricted)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
	for _, bad := range []string{"", "[]", `{"process":7}`, `{"capabilities":"all"}`} {
		if _, err := Trim([]byte(bad), restricted); err == nil {
			t.Errorf("Trim(%q) gave no error", bad)
		}
	}
}

func TestFiles(t *testing.T) {
	cases := map[string]string{
		"--root /r --log /l create --bundle /b --pid-file /p id": "/b/config.json",
		"create --bundle=/b id":                                  "/b/config.json",
		"run id":                                                 "config.json",
		"--root /r exec --process /tmp/p --detach id":            "/tmp/p",
		"exec -p /tmp/p id":                                      "/tmp/p",
		"exec id sh -c create":                                   "",
		"--root /r state id":                                     "",
		"delete --force id":                                      "",
		"--root /r delete create":                                "",
		"--log-format json --root=/r create -b /b exec":          "/b/config.json",
		"--root /r start id":                                     "",
		"":                                                       "",
	}
	for line, want := range cases {
		got := strings.Join(Files(strings.Fields(line)), " ")
		if got != want {
			t.Errorf("Files(%q) = %q, want %q", line, got, want)
		}
	}
}

func TestTrimFileKeepsModeAndLeavesNothingBeside(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	if err := os.WriteFile(path, []byte(`{"process":{"capabilities":{"bounding":["CAP_SYS_RESOURCE"]}}}`), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := TrimFile(path, restricted); err != nil {
		t.Fatal(err)
	}
	raw, _ := os.ReadFile(path)
	if strings.Contains(string(raw), "SYS_RESOURCE") {
		t.Errorf("still asks for it: %s", raw)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o640 {
		t.Errorf("mode became %v", info.Mode())
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("files left: %v", left)
	}
	if err := TrimFile(filepath.Join(dir, "none"), restricted); err == nil {
		t.Error("a file that is not there gave no error")
	}
}

// FuzzTrim: whatever comes in, what comes out is JSON with the same top-level keys, and never asks for what is missing.
func FuzzTrim(f *testing.F) {
	f.Add([]byte(`{"process":{"capabilities":{"bounding":["CAP_SYS_RESOURCE"]}},"a":1}`))
	f.Add([]byte(`{"capabilities":{"x":null}}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := Trim(in, restricted)
		if err != nil {
			return
		}
		var before, after map[string]json.RawMessage
		if json.Unmarshal(in, &before) != nil || json.Unmarshal(out, &after) != nil {
			t.Fatalf("accepted or produced something that is not an object: %q -> %q", in, out)
		}
		if len(before) != len(after) {
			t.Fatalf("top-level keys changed: %q -> %q", in, out)
		}
		again, err := Trim(out, restricted)
		if err != nil || !reflect.DeepEqual(again, out) {
			t.Fatalf("a second pass still changes it: %q -> %q (%v)", out, again, err)
		}
	})
}
