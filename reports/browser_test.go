//go:build browser

package reports_test

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/reports"
)

// browser finds Debian's Chromium. Whoever asks for these tests by their tag wants them run: a missing browser is a failure.
func browser(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("no Chromium is installed: apt-get install chromium")
	return ""
}

// tab is an open page of a browser of its own, and what it complained about or asked the network for.
type tab struct {
	testing.TB
	ctx context.Context

	mu       sync.Mutex
	said     []string
	requests []string
}

func openTab(t testing.TB) *tab {
	t.Helper()
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(browser(t)), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.WindowSize(1360, 1500),
	)
	alloc, cancelAlloc := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(cancelAlloc)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	ctx, cancelTimeout := context.WithTimeout(ctx, 2*time.Minute) // a bound, not an expectation
	t.Cleanup(cancelTimeout)
	b := &tab{TB: t, ctx: ctx}
	b.do() // opens the tab
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		t.Fatalf("listen to the browser: %v", err)
	}
	for what, err := range map[string]error{
		"network": second(chromedp.Call(ctx, network.Enable, network.EnableParams{})),
		"log":     second(chromedp.Call(ctx, log.Enable, cdp.Empty{})),
		"focus":   second(chromedp.Call(ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})),
		"runtime": second(chromedp.Call(ctx, runtime.Enable, cdp.Empty{})),
	} {
		if err != nil {
			t.Fatalf("listen to the browser's %s: %v", what, err)
		}
	}
	return b
}

func second[T any](_ T, err error) error { return err }

// heard gives the browser two frames to report what happened, and returns all it said.
func (b *tab) heard() []string {
	b.Helper()
	frames := `new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))`
	b.do(chromedp.Evaluate[chromedp.Void](frames, chromedp.EvalAwaitPromise))
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.said)
}

func (b *tab) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		b.said = append(b.said, fmt.Sprintf("console.%s: %s", e.Type, e.Args[0].Value))
	case *runtime.EventExceptionThrown:
		b.said = append(b.said, "exception: "+e.ExceptionDetails.Text+" "+e.ExceptionDetails.Exception.Description)
	case *log.EventEntryAdded:
		b.said = append(b.said, fmt.Sprintf("%s: %s", e.Entry.Level, e.Entry.Text))
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	}
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.Fatalf("drive the browser: %v; the page said %q", err, b.said)
	}
}

// eval gives the value of a JavaScript expression.
func eval[T any](b *tab, expression string) T {
	b.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.Fatalf("evaluate %s: %v", expression, err)
	}
	return v
}

// show opens a report, and waits until its timeline is drawn.
func (b *tab) show(path string) {
	b.Helper()
	b.do(chromedp.Navigate("file://"+(&url.URL{Path: path}).EscapedPath()), chromedp.WaitReady(chromedp.CSS("html[data-drawn=yes]")))
}

// wait waits until an expression is true; on time-out it tells what else it was.
func (b *tab) wait(what, expression string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Poll[chromedp.Void](expression)); err != nil {
		b.Fatalf("wait for %s: %v; the tooltip says %q", what, err, b.tip())
	}
}

func (b *tab) tip() string {
	return eval[string](b, `(t => t.hidden ? "" : t.innerText)(document.getElementById("tip"))`)
}

func (b *tab) assertTip(how string, want ...string) {
	b.Helper()
	tip := b.tip()
	for _, w := range want {
		if !strings.Contains(tip, w) {
			b.Errorf("%s the tooltip says %q, want %q in it", how, tip, w)
		}
	}
}

// span is the time that the timeline shows, in seconds.
func (b *tab) span() (from, to float64) {
	b.Helper()
	s := eval[[]float64](b, `(t => [t.dataset.lo / 1e6, t.dataset.hi / 1e6])(document.getElementById("timeline"))`)
	return s[0], s[1]
}

func (b *tab) shot(name string) {
	b.Helper()
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.Fatalf("take the screenshot %s: %v", name, err)
	}
	b.keep(name, png)
}

// keep stores an artifact where CI collects it.
func (b *tab) keep(name string, data []byte) {
	b.Helper()
	dir := filepath.Join("..", "out", "browser")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
		b.Fatal(err)
	}
}

// assertQuiet checks that the page complained about nothing and asked for nothing but itself.
func (b *tab) assertQuiet() {
	b.Helper()
	if said := b.heard(); len(said) > 0 {
		b.Errorf("the page complained: %q", said)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.requests) == 0 {
		b.Error("not even the page itself was seen to be requested: the check for requests sees nothing")
	}
	for _, r := range b.requests {
		if r != "data:," && !(strings.HasPrefix(r, "file://") && strings.Contains(r, reports.HTMLFile)) {
			b.Errorf("the page asked for %s", r)
		}
	}
}

func sampleReport(t testing.TB, h *history.History, res judge.Result) string {
	t.Helper()
	dir := t.TempDir()
	paths, err := reports.WriteAll(context.Background(), dir, h, res)
	if err != nil {
		t.Fatal(err)
	}
	return paths.HTML
}

// A failed hit is found by key and by mouse, and told in full.
func TestFailedHitIsTold(t *testing.T) {
	b := openTab(t)
	b.show(sampleReport(t, recordSample(t), sampleResult()))
	b.do(chromedp.Focus(chromedp.CSS("#failures")), chromedp.KeyEvent(kb.ArrowRight))
	b.assertTip("by key", "get/1200 at 17.000 s", "application", "status 500", "v2", "bitvaultd-5d77-b", "GET http://127.0.0.1:8080/api/v1/vaults")
	b.do(chromedp.KeyEvent(kb.ArrowRight), chromedp.KeyEvent(kb.ArrowRight))
	b.assertTip("two keys on", "post/3001", "read: connection reset by peer")
	b.do(chromedp.KeyEvent(kb.End))
	b.assertTip("at the end", "get/3700", "ambiguous", "context deadline exceeded")
	b.do(chromedp.KeyEvent(kb.Escape))
	if tip := b.tip(); tip != "" {
		t.Errorf("Escape leaves the tooltip %q", tip)
	}

	box := eval[[]float64](b, `(r => [r.left, r.top, r.width])(document.querySelector("#failures canvas").getBoundingClientRect())`)
	from, to := b.span()
	at := 17.0002 // get/1200, in the row of the first arm
	x, y := box[0]+(at-from)/(to-from)*box[2], box[1]+10
	b.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, x, y))
	b.wait("the tooltip by mouse", `!document.getElementById("tip").hidden`)
	b.assertTip("by mouse", "get/1200", "status 500")
	b.shot("report-light.png")
	b.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, 5, 5))
	b.assertQuiet()
}

func TestZoom(t *testing.T) {
	b := openTab(t)
	b.show(sampleReport(t, recordSample(t), sampleResult()))
	wholeFrom, wholeTo := b.span()
	if wholeFrom > 1 || wholeTo < 61 {
		t.Errorf("at first %v to %v s are shown, want the whole run", wholeFrom, wholeTo)
	}
	whole := wholeTo - wholeFrom
	assertWidth := func(how string, want float64) {
		t.Helper()
		if from, to := b.span(); (to-from)/want < 0.99 || (to-from)/want > 1.01 {
			t.Errorf("%s %v to %v s are shown, want %v s", how, from, to, want)
		}
	}
	b.do(chromedp.Focus(chromedp.CSS("#timeline")), chromedp.KeyEvent("+"))
	assertWidth("after +", whole/2)
	b.do(chromedp.KeyEvent(kb.ArrowRight))
	if from, _ := b.span(); from <= wholeFrom+whole/4 {
		t.Errorf("the right arrow left the start at %v s", from)
	}
	b.do(chromedp.KeyEvent("0"))
	assertWidth("after 0", whole)
	b.do(chromedp.Click(chromedp.CSS(`[data-do="in"]`)))
	assertWidth("after the button", whole/2)
	b.do(chromedp.Click(chromedp.CSS(`[data-do="home"]`)))

	box := eval[[]float64](b, `(r => [r.left, r.top, r.width])(document.querySelector(".plot .u-over").getBoundingClientRect())`)
	left, right, y := box[0]+box[2]*0.25, box[0]+box[2]*0.35, box[1]+40
	b.do(
		chromedp.MouseEvent(chromedp.MousePressed, left, y, chromedp.ButtonLeft, chromedp.ClickCount(1)),
		chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, right, y, chromedp.ButtonLeft),
		chromedp.MouseEvent(input.DispatchMouseEventTypeMouseReleased, right, y, chromedp.ButtonLeft, chromedp.ClickCount(1)),
	)
	assertWidth("after dragging over a tenth", whole/10)
	shown := eval[string](b, `document.getElementById("range").textContent`)
	if !strings.Contains(shown, " to ") {
		t.Errorf("the range reads %q", shown)
	}
	b.assertQuiet()
}

func TestFindingsLeadToTheirMoment(t *testing.T) {
	b := openTab(t)
	b.show(sampleReport(t, recordSample(t), sampleResult()))
	b.do(chromedp.Focus(chromedp.CSS("#f-load\\.zero-dropped a.jump")), chromedp.KeyEvent(kb.Enter))
	b.wait("the tooltip of the finding's hit", `document.getElementById("tip").dataset.hit === "post/3001"`)
	if from, to := b.span(); from < 40 || to > 42 {
		t.Errorf("the finding at 41.013 s shows %v to %v s", from, to)
	}
	b.shot("report-finding.png")
	b.do(chromedp.Focus(chromedp.CSS("#f-mechanics\\.pdb a.jump")), chromedp.KeyEvent(kb.Enter))
	b.wait("the span of the finding", `document.getElementById("timeline").dataset.lo > 49e6`)
	if from, to := b.span(); from > 50.5 || to < 51 || to-from > 3 {
		t.Errorf("the finding from 50.5 to 51 s shows %v to %v s", from, to)
	}
	b.assertQuiet()
}

func TestDisturbancesAndPodsAreToldByKey(t *testing.T) {
	b := openTab(t)
	b.show(sampleReport(t, recordSample(t), sampleResult()))
	b.do(chromedp.Focus(chromedp.CSS(".lane.disturbance .mark")))
	b.assertTip("on the release", "bitvaultd v2", "landed", "12.000 s", "17 of 150 in the last second")
	b.do(chromedp.Focus(chromedp.CSS(".lane.pod")))
	b.assertTip("on the first pod", "bitvaultd-6c9f-a", "worker-1", "terminating", "41.000 s")
	nameless := eval[[]string](b, `[...document.querySelectorAll("button, a, [tabindex], [role=img]")]
		.filter(e => !(e.getAttribute("aria-label") || e.getAttribute("aria-labelledby") || e.textContent.trim())).map(e => e.outerHTML.slice(0, 200))`)
	if len(nameless) > 0 {
		t.Errorf("nothing tells a screen reader what these are: %q", nameless)
	}
	b.assertQuiet()
}

func TestDarkLightAndPaper(t *testing.T) {
	background := `getComputedStyle(document.body).backgroundColor`
	b := openTab(t)
	prefersDark := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, prefersDark); err != nil {
		t.Fatal(err)
	}
	path := sampleReport(t, recordSample(t), sampleResult())
	b.show(path)
	dark := eval[string](b, background)
	b.shot("report-dark.png")
	b.do(chromedp.Click(chromedp.CSS("#theme")))
	light := eval[string](b, background)
	if dark != "rgb(18, 21, 25)" || light == dark {
		t.Errorf("a reader who prefers dark gets %s, and %s after the switch", dark, light)
	}
	b.do(chromedp.Click(chromedp.CSS("#theme")))
	if back := eval[string](b, background); back != dark {
		t.Errorf("switched twice, the page is %s", back)
	}
	pdf, err := chromedp.Run(b.ctx, chromedp.PrintToPDF())
	if err != nil {
		t.Fatalf("print: %v", err)
	}
	if !bytes.HasPrefix(pdf, []byte("%PDF-")) {
		t.Errorf("printing gave %d bytes that are no PDF", len(pdf))
	}
	b.keep("report.pdf", pdf)
	if after := eval[string](b, background); after != dark {
		t.Errorf("after printing the page is %s, was %s", after, dark)
	}
	b.do(chromedp.EmulateViewport(420, 900))
	b.wait("the narrow layout", `document.documentElement.scrollWidth <= 420`)
	b.shot("report-narrow.png")
	b.assertQuiet()
}

// What a record says must never become markup or script, nor break the page.
func TestHostileRecord(t *testing.T) {
	h, res := hostileRecord(t)
	b := openTab(t)
	b.show(sampleReport(t, h, res))
	b.do(chromedp.Focus(chromedp.CSS("#failures")), chromedp.KeyEvent(kb.ArrowRight))
	b.assertTip("on the hostile hit", hostileText)
	b.do(chromedp.Focus(chromedp.CSS("a.jump")), chromedp.KeyEvent(kb.Enter))
	b.wait("the tooltip of the hostile finding", `!document.getElementById("tip").hidden`)
	if eval[bool](b, `window.pwned !== undefined || document.querySelectorAll("img, iframe, object, [onerror]").length > 0 || document.scripts.length !== 3`) {
		t.Error("a text of the record became markup")
	}
	b.assertQuiet()
}

// The other half of the defence: were a text to become a script, the policy would stop it, and the test would hear of it.
func TestPolicyStopsForeignScripts(t *testing.T) {
	b := openTab(t)
	b.show(sampleReport(t, recordSample(t), sampleResult()))
	foreign := `document.body.append(Object.assign(document.createElement("script"), {textContent: "window.pwned = 1"}))`
	b.do(chromedp.Evaluate[chromedp.Void](foreign))
	if eval[bool](b, `window.pwned !== undefined`) {
		t.Error("a foreign script ran")
	}
	if said := b.heard(); !strings.Contains(strings.Join(said, "\n"), "Content Security Policy") {
		t.Errorf("the browser reported no violation, so the other tests would not hear of one: %q", said)
	}
}
