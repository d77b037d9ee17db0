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
	b.do(chromedp.Focus(chromedp.CSS("#f-mechanics\\.pdb .group > summary")), chromedp.KeyEvent(kb.Enter))
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
	if eval[bool](b, `document.querySelector(".lane.pod").checkVisibility()`) {
		t.Error("the lanes of Kubernetes stand open though nobody asked for them")
	}
	b.do(chromedp.Focus(chromedp.CSS("#lanes > summary")), chromedp.KeyEvent(kb.Enter))
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

// At 1 280 x 800 the answer, and of what failed the first promise with its kinds, are seen without scrolling.
func TestAnswerStandsAboveTheFold(t *testing.T) {
	b := openTab(t)
	b.do(chromedp.EmulateViewport(1280, 800))
	b.show(sampleReport(t, recordSample(t), sampleResult()))
	for name, selector := range map[string]string{
		"the answer": "#answer", "the exit code": ".facts", "what failed": "#failed .promise > summary",
		"the kind of the first failure": ".group > summary", "what was expected and found": ".versus", "how to send it again": ".again",
	} {
		box := eval[[]float64](b, fmt.Sprintf(`(r => [r.top, r.bottom, r.height])(document.querySelector(%q).getBoundingClientRect())`, selector))
		if box[0] < 0 || box[1] > 800 || box[2] == 0 {
			t.Errorf("%s stands from %v to %v px", name, box[0], box[1])
		}
	}
	b.shot("report-fold.png")
	b.assertQuiet()
}

// The answer and what failed need no script.
func TestAnswerNeedsNoScript(t *testing.T) {
	b := openTab(t)
	path := sampleReport(t, recordSample(t), sampleResult())
	off := emulation.SetScriptExecutionDisabledParams{Value: true}
	if _, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, off); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.Navigate("file://"+(&url.URL{Path: path}).EscapedPath()), chromedp.WaitReady(chromedp.CSS("footer")))
	if eval[bool](b, `document.documentElement.dataset.drawn === "yes"`) {
		t.Fatal("the page's script ran: this test proves nothing")
	}
	text := eval[string](b, `document.body.innerText`)
	for _, want := range []string{"12 of 13 500 requests were dropped", "7 × reset", "connection reset by peer", "curl -sS", "latency"} {
		if !strings.Contains(strings.ToLower(text), strings.ToLower(want)) {
			t.Errorf("without scripts the page does not say %q", want)
		}
	}
	if eval[bool](b, `document.getElementById("filter").checkVisibility()`) {
		t.Error("a filter is shown that does nothing")
	}
}

// On a narrow screen nothing is cut: the page is not wider than the screen, and no text is hidden by its box.
func TestNothingIsCutOnANarrowScreen(t *testing.T) {
	b := openTab(t)
	b.do(chromedp.EmulateViewport(390, 844))
	b.show(sampleReport(t, recordSample(t), sampleResult()))
	b.do(chromedp.Click(chromedp.CSS("#fold")), chromedp.Click(chromedp.CSS("#lanes > summary")))
	if wide := eval[float64](b, `document.documentElement.scrollWidth`); wide > 390 {
		t.Errorf("the page is %v px wide", wide)
	}
	cut := eval[[]string](b, `[...document.querySelectorAll("body *")].filter(e => e.checkVisibility() && e.textContent.trim() && !e.closest(".track, .shapes, canvas")
		&& (r => r.width > 0 && (r.left < -1 || r.right > 391))(e.getBoundingClientRect())).map(e => e.outerHTML.slice(0, 120))`)
	if len(cut) > 0 {
		t.Errorf("beyond the edge: %q", cut)
	}
	labels := eval[[]string](b, `(p => [...document.querySelectorAll(".axis span")].filter(e => (r => r.left < p.left || r.right > 390)(e.getBoundingClientRect())).map(e => e.textContent))(document.getElementById("panels").getBoundingClientRect())`)
	if len(labels) > 0 {
		t.Errorf("labels of the time axis are cut: %q", labels)
	}
	if n := eval[int](b, `document.querySelectorAll(".axis span").length`); n < 2 {
		t.Errorf("the time axis has %d labels", n)
	}
	b.shot("report-390.png")
	b.assertQuiet()
}

func TestFilterAndFold(t *testing.T) {
	b := openTab(t)
	b.show(sampleReport(t, recordSample(t), sampleResult()))
	shown := func() string {
		return eval[string](b, `[...document.querySelectorAll(".promise")].filter(p => p.checkVisibility()).map(p => p.id).join(" ")`)
	}
	assertShown := func(how, want string) {
		t.Helper()
		if got := shown(); got != want {
			t.Errorf("%s the promises %q are shown, want %q", how, got, want)
		}
	}
	all := "f-load.zero-dropped f-mechanics.pdb f-load.held f-disruption.landed f-canary.aborts-on-cpu"
	assertShown("at first", all)
	b.do(chromedp.Focus(chromedp.CSS("#search")), chromedp.SendKeys(chromedp.CSS("#search"), "RESET bitvaultd-6c9f"))
	assertShown("by the words of a finding", "f-load.zero-dropped")
	b.do(chromedp.SendKeys(chromedp.CSS("#search"), " nowhere"))
	assertShown("by words that are nowhere", "")
	if !eval[bool](b, `document.getElementById("nothing").checkVisibility()`) {
		t.Error("nothing says that nothing matches")
	}
	b.do(chromedp.Evaluate[chromedp.Void](`(s => { s.value = ""; s.dispatchEvent(new Event("input")); })(document.getElementById("search"))`))
	assertShown("without words", all)
	b.do(chromedp.Click(chromedp.CSS(`#filter [data-verdict="inconclusive"]`)))
	assertShown("of the inconclusive", "f-mechanics.pdb")
	b.do(chromedp.Click(chromedp.CSS(`#filter [data-verdict="all"]`)))

	open := func() int { return eval[int](b, `document.querySelectorAll(".promise[open], .group[open]").length`) }
	before := open()
	b.do(chromedp.Click(chromedp.CSS("#fold")))
	if n, of := open(), eval[int](b, `document.querySelectorAll(".promise, .group").length`); n != of {
		t.Errorf("unfolded, %d of %d stand open", n, of)
	}
	if eval[bool](b, `document.querySelector(".raw[open]") !== null`) {
		t.Error("single findings stand open though nobody asked for them")
	}
	b.do(chromedp.Click(chromedp.CSS("#fold")))
	if n := open(); n != 0 || before == 0 {
		t.Errorf("at first %d stood open, folded %d", before, n)
	}
	b.assertQuiet()
}

// contrasts finds the texts whose contrast with what is behind them is below 4.5 to 1 (WCAG 2, level AA).
const contrasts = `(() => {
	const rgba = (c) => { const m = c.match(/[\d.]+/g).map(Number); return [m[0], m[1], m[2], m[3] === undefined ? 1 : m[3]]; };
	const over = (a, b) => [0, 1, 2].map((i) => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
	const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }); return .2126 * r + .7152 * g + .0722 * b; };
	const behind = (e) => { const layers = []; for (; e; e = e.parentElement) layers.unshift(rgba(getComputedStyle(e).backgroundColor)); return layers.reduce((under, l) => over(l, under), [255, 255, 255, 1]); };
	const bad = [];
	let seen = 0;
	for (const e of document.querySelectorAll("body *")) {
		if (!e.checkVisibility() || e.closest(".shapes, .tight, [aria-pressed=false]") || ![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
		const back = behind(e), ink = over(rgba(getComputedStyle(e).color), back), [a, b] = [light(ink), light(back)].sort((x, y) => y - x);
		seen++;
		if ((a + .05) / (b + .05) < 4.5) bad.push(((a + .05) / (b + .05)).toFixed(2) + " " + e.outerHTML.slice(0, 100));
	}
	return seen < 50 ? ["only " + seen + " texts were looked at"] : bad;
})()`

func TestContrast(t *testing.T) {
	b := openTab(t)
	path := sampleReport(t, recordSample(t), sampleResult())
	for _, theme := range []string{"light", "dark"} {
		prefers := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}}
		if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, prefers); err != nil {
			t.Fatal(err)
		}
		b.show(path)
		b.do(chromedp.Click(chromedp.CSS("#fold")), chromedp.Click(chromedp.CSS("#lanes > summary")))
		if weak := eval[[]string](b, contrasts); len(weak) > 0 {
			t.Errorf("%s: hard to read: %q", theme, weak)
		}
	}
	b.assertQuiet()
}

// What a record says must never become markup or script, nor break the page.
func TestHostileRecord(t *testing.T) {
	h, res := hostileRecord(t)
	b := openTab(t)
	b.show(sampleReport(t, h, res))
	b.do(chromedp.Focus(chromedp.CSS("#failures")), chromedp.KeyEvent(kb.ArrowRight))
	b.assertTip("on the hostile hit", hostileText)
	b.do(chromedp.Click(chromedp.CSS("#fold")), chromedp.Focus(chromedp.CSS(`a.jump[href*="get"]`)), chromedp.KeyEvent(kb.Enter))
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
