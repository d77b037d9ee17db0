//go:build browser

package reports_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

func (c storeCase) report(t testing.TB) string {
	t.Helper()
	var s *storeSample
	if c.sample != nil {
		s = c.sample()
	}
	return sampleReport(t, recordStore(t, s, c.loaded), c.result)
}

// lanes names the lanes that are seen, in the order of the page.
func (b *tab) lanes() string {
	return eval[string](b, `[...document.querySelectorAll("#panels .lane, #panels .plot")].filter(l => l.checkVisibility()).map(l => l.querySelector(".name").textContent.trim()).join(", ")`)
}

func TestLanesOfAStore(t *testing.T) {
	b := openTab(t)
	b.show(storeCases()["fail"].report(t))
	if got, want := b.lanes(), "roll, redis writes per second, gaps, leader, up to date, redis-0, redis-1, redis-2"; got != want {
		t.Errorf("the lanes are\n%s, want\n%s", got, want)
	}
	b.do(chromedp.Focus(chromedp.CSS(".lane.gaps .mark")))
	b.assertTip("on the first gap", "no write to redis acknowledged", "29.991 s", "30.403 s", "412 ms")
	b.do(chromedp.Focus(chromedp.CSS(".lane.leader .mark.handover")))
	b.assertTip("on the first hand-over", "redis-0.redis.redis.svc:6379 → redis-1.redis.redis.svc:6379", "30.400 s", "took over from")
	if got := eval[string](b, `[...document.querySelectorAll(".lane.leader .mark")].map(m => m.textContent).join(", ")`); got != "redis-0, none named, → redis-1, → redis-0" {
		t.Errorf("the lane of leaders says %q", got)
	}
	b.do(chromedp.Focus(chromedp.CSS(".lane.health .mark.health-fewer")))
	b.assertTip("while one server was away", "2 of 3 members up to date", "22.000 s")
	b.do(chromedp.Evaluate[chromedp.Void](`[...document.querySelectorAll(".lane.member")][1].focus()`))
	b.assertTip("on redis-1", "statefulset redis/redis", "terminating", "26.000 s", "34 acknowledged writes")
	if n := eval[int](b, `[...document.querySelectorAll(".lane.member")][1].querySelectorAll(".track .lost").length`); n != 20 {
		t.Errorf("%d losses are marked in the lane of redis-1, want 20", n)
	}
	if eval[bool](b, `document.getElementById("failures") !== null`) {
		t.Error("failed hits have a lane though no hit was sent")
	}
	b.shot("stores-light.png")
	b.assertQuiet()
}

// A loss is listed, and leads to the moment it was acknowledged at.
func TestLossesAreListed(t *testing.T) {
	b := openTab(t)
	b.show(storeCases()["fail"].report(t))
	if n := eval[int](b, `document.querySelectorAll("#written .losses li").length`); n != 20 {
		t.Errorf("%d losses are listed, want 20", n)
	}
	text := eval[string](b, `document.getElementById("written").innerText`)
	for _, want := range []string{"redis-w-2766", "acknowledged by redis-0.redis.redis.svc:6379", "and 14 writes more"} {
		if !strings.Contains(text, want) {
			t.Errorf("the section does not say %q", want)
		}
	}
	b.do(chromedp.Focus(chromedp.CSS("#written .losses a.jump")), chromedp.KeyEvent(kb.Enter))
	b.wait("the moment of the first loss", `document.getElementById("timeline").dataset.lo > 29e6`)
	if from, to := b.span(); from > 29.661 || to < 29.661 || to-from > 2 {
		t.Errorf("the loss at 29.661 s shows %v to %v s", from, to)
	}
	b.do(chromedp.Focus(chromedp.CSS("#written table a.jump")), chromedp.KeyEvent(kb.Enter))
	b.wait("the longest gap", `document.getElementById("timeline").dataset.hi > 30.4e6`)
	b.shot("stores-gap.png")
	b.assertQuiet()
}

func TestZoomOfAStore(t *testing.T) {
	b := openTab(t)
	b.show(storeCases()["pass"].report(t))
	wholeFrom, wholeTo := b.span()
	if wholeFrom > 2 || wholeTo < 60 {
		t.Errorf("at first %v to %v s are shown, want the whole ledger", wholeFrom, wholeTo)
	}
	width := func() float64 {
		return eval[float64](b, `document.querySelector(".lane.gaps .mark").getBoundingClientRect().width`)
	}
	before := width()
	b.do(chromedp.Focus(chromedp.CSS("#timeline")), chromedp.KeyEvent("+"))
	if from, to := b.span(); (to-from)/(wholeTo-wholeFrom) > 0.51 {
		t.Errorf("after + %v to %v s are shown", from, to)
	}
	if after := width(); after < before*1.5 {
		t.Errorf("the gap is %v px wide, and %v px zoomed in", before, after)
	}
	b.do(chromedp.KeyEvent("0"))
	if from, to := b.span(); from != wholeFrom || to != wholeTo {
		t.Errorf("after 0 %v to %v s are shown", from, to)
	}
	b.assertQuiet()
}

// What a ledger says must never become markup or script, nor break the page.
func TestHostileLedger(t *testing.T) {
	b := openTab(t)
	b.do(chromedp.EmulateViewport(400, 900))
	b.show(sampleReport(t, recordStore(t, newStoreSample().hostile(), false), storeCases()["fail"].result))
	b.do(chromedp.Focus(chromedp.CSS(".lane.leader .mark.handover")))
	b.assertTip("on the first hand-over", hostileText)
	if eval[bool](b, `window.pwned !== undefined || document.querySelectorAll("img, iframe, object, [onerror]").length > 0 || document.scripts.length !== 3`) {
		t.Error("a text of the record became markup")
	}
	if wide := eval[float64](b, `document.documentElement.scrollWidth`); wide > 400 {
		t.Errorf("the page is %v px wide", wide)
	}
	b.assertQuiet()
}

// With load and ledgers both have their lanes.
func TestLanesOfLoadAndStore(t *testing.T) {
	b := openTab(t)
	b.show(storeCases()["both"].report(t))
	lanes := b.lanes()
	for _, want := range []string{"hits per second", "latency log scale", "redis writes per second", "leader"} {
		if !strings.Contains(lanes, want) {
			t.Errorf("the lanes are %s, without %s", lanes, want)
		}
	}
	b.shot("stores-both.png")
	b.assertQuiet()
}

// Nothing of a store is wider than the screen, and all of it is legible, light and dark.
func TestStoresFitAnyScreen(t *testing.T) {
	for name, c := range storeCases() {
		b := openTab(t)
		path := c.report(t)
		for _, width := range []int64{1280, 400} {
			for _, theme := range []string{"light", "dark"} {
				prefers := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}}
				if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, prefers); err != nil {
					t.Fatal(err)
				}
				b.do(chromedp.EmulateViewport(width, 900))
				b.show(path)
				b.do(chromedp.Click(chromedp.CSS("#fold")))
				how := fmt.Sprintf("%s, %d px, %s", name, width, theme)
				if wide := eval[float64](b, `document.documentElement.scrollWidth`); wide > float64(width) {
					t.Errorf("%s: the page is %v px wide", how, wide)
				}
				cut := eval[[]string](b, fmt.Sprintf(`[...document.querySelectorAll("body *")].filter(e => e.checkVisibility() && e.textContent.trim() && !e.closest(".track, .shapes, canvas")
					&& (r => r.width > 0 && (r.left < -1 || r.right > %d + 1))(e.getBoundingClientRect())).map(e => e.outerHTML.slice(0, 120))`, width))
				if len(cut) > 0 {
					t.Errorf("%s: beyond the edge: %q", how, cut)
				}
				if weak := eval[[]string](b, contrasts); len(weak) > 0 {
					t.Errorf("%s: hard to read: %q", how, weak)
				}
				b.shot(fmt.Sprintf("stores-%s-%d-%s.png", name, width, theme))
			}
		}
		b.assertQuiet()
	}
}
