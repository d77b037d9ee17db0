package load

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// What is checked is what came over the wire: no arm asks for compression, which Go's transport would undo before anybody looks.
func TestNoArmAsksForCompression(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if asked := r.Header.Values("Accept-Encoding"); len(asked) > 0 {
			t.Errorf("hit %s asks for the encodings %q", r.Header.Get(HitHeader), asked)
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = gzip.NewWriter(w).Write(appBody) // as a server that is asked does
			return
		}
		app(w, r)
	})
	r := record(t)
	if err := r.run(t.Context(), arms(t, url, ArmNames()...), Plan{Pacing: Constant{100}, Length: 100 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	r.assertAccounted()
	for arm, hits := range r.hits() {
		if len(hits) == 0 {
			t.Errorf("arm %s sent nothing", arm)
		}
	}
}

// Each digest that an answer carries is compared by itself: one that fits does not hide one that does not.
func TestEachDigestIsCompared(t *testing.T) {
	body := "0123456789"
	encode := func(name string, sum []byte) string {
		return name + "=:" + base64.StdEncoding.EncodeToString(sum) + ":"
	}
	short := func(of string) string { sum := sha256.Sum256([]byte(of)); return encode("sha-256", sum[:]) }
	long := func(of string) string { sum := sha512.Sum512([]byte(of)); return encode("sha-512", sum[:]) }
	wrong := fate{history.ClassApplication, "digest", 200, 0}
	for name, c := range map[string]struct {
		field string
		want  fate
	}{
		"sha-512 alone":                   {long(body), ok},
		"sha-512 alone, wrong":            {long("another"), wrong},
		"sha-512 wrong beside sha-256":    {short(body) + ", " + long("another"), wrong},
		"sha-256 wrong beside sha-512":    {short("another") + ", " + long(body), wrong},
		"sha-512 wrong beside an unknown": {"crc32c=:AAAAAA==:, " + long("another"), wrong},
		"both":                            {short(body) + ", " + long(body), ok},
	} {
		t.Run(name, func(t *testing.T) {
			url := rawServer(t, answering(versioned+"Content-Digest: "+c.field+"\r\n\r\n"+body, false))
			assertFates(t, arms(t, url, "get")[0], Plan{}, []fate{c.want, c.want})
		})
	}
}

// A hit that nobody answers ends at its deadline: never before, and the quickest of many soon after. A busy machine may make some later.
func TestAHitHasItsDeadlineAndNoMore(t *testing.T) {
	const deadline = 400 * time.Millisecond
	url := rawServer(t, func(_ *net.TCPConn, requests *bufio.Reader) {
		readRequest(requests)
		readRequest(requests) // until the client hangs up
	})
	r := record(t)
	if err := r.run(t.Context(), arms(t, url, "get"), Plan{Pacing: Constant{20}, Length: time.Second, Deadline: deadline}); err != nil {
		t.Fatal(err)
	}
	r.assertAccounted()
	hits := r.hits()["get"]
	quickest := time.Hour
	for _, h := range hits {
		if h.Class != history.ClassAmbiguous || h.Latency < deadline {
			t.Errorf("a hit without an answer is %s (%s) after %s", h.Class, h.Reason, h.Latency)
		}
		quickest = min(quickest, h.Latency)
	}
	if len(hits) != 20 || quickest > deadline*3/2 {
		t.Errorf("of %d hits the quickest was given up after %s, the deadline is %s", len(hits), quickest, deadline)
	}
}

// Files that are open are counted: a generator that has none left proves nothing.
func TestOpenFilesAreCounted(t *testing.T) {
	const many = 50
	dir := t.TempDir()
	for i := range many {
		f, err := os.Create(filepath.Join(dir, string(rune('A'+i))))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	r := record(t)
	if err := r.run(t.Context(), arms(t, serve(t, app), "get"), Plan{Pacing: Constant{40}, Length: 50 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	if health := r.ended()["get"][0].Health; health.FilesMax < many || health.FilesLimit < health.FilesMax {
		t.Errorf("%d open files of %d are recorded, with %d open and some more", health.FilesMax, health.FilesLimit, many)
	}
}

// What the command line gives goes with every request, with credentials in the target and without, before what the arm says.
func TestWhatGoesWithARequest(t *testing.T) {
	own, given := http.Header{"A": {"own"}, "B": {"own"}}, http.Header{"B": {"given"}}
	for name, c := range map[string]struct {
		own, given http.Header
		auth       string
		want       http.Header
	}{
		"nothing given":         {own, nil, "", own},
		"given":                 {own, given, "", http.Header{"A": {"own"}, "B": {"given"}}},
		"credentials":           {own, nil, "Basic x", http.Header{"A": {"own"}, "B": {"own"}, "Authorization": {"Basic x"}}},
		"given and credentials": {own, given, "Basic x", http.Header{"A": {"own"}, "B": {"given"}, "Authorization": {"Basic x"}}},
		"credentials of both":   {own, http.Header{"Authorization": {"Bearer y"}}, "Basic x", http.Header{"A": {"own"}, "B": {"own"}, "Authorization": {"Bearer y"}}},
		"only what is given":    {nil, given, "", http.Header{"B": {"given"}}},
	} {
		if got := headerOf(c.own, c.given, c.auth); !maps.EqualFunc(got, c.want, slices.Equal) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if len(own) != 2 || own.Get("B") != "own" {
		t.Errorf("what the arm says was changed to %v", own)
	}
}

// What is no URL may be one without its scheme, and hold a password all the same.
func TestAPasswordOfWhatIsNoURLIsNotTold(t *testing.T) {
	for _, raw := range []string{"admin:pa/ss@host:80/x", "http://admin:pa/ss@host/x", "admin:pa?ss@host", "http://admin:pa#ss@host:99999/"} {
		if told := Redact(raw); strings.Contains(told, "pa") || strings.Contains(told, "ss@") {
			t.Errorf("%q is told as %q", raw, told)
		}
	}
	for _, raw := range []string{"http://host/a@b", "https://host:8080/?mail=a@b"} {
		if told := Redact(raw); told != raw {
			t.Errorf("%q holds no password and is told as %q", raw, told)
		}
	}
}
