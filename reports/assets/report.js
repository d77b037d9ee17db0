"use strict";
// The timeline of the report. It reads the JSON beside it and draws; texts of the record reach the page as text nodes only.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const root = document.documentElement, panels = $("panels"), tip = $("tip"), timeline = $("timeline");
  const SECOND = 1e6; // times of the record are microseconds
  const probe = document.createElement("i"); // light-dark() is resolved where a colour is used, not where it is named
  probe.hidden = true;
  document.body.append(probe);
  let inks = new Map(); // of the theme shown
  function css(name) {
    if (!inks.has(name)) { probe.style.color = `var(${name})`; inks.set(name, getComputedStyle(probe).color); }
    return inks.get(name);
  }
  const list = (x) => x || [];
  const arms = list(data.arms), disturbances = list(data.disturbances), steps = list(data.steps), ledgers = list(data.ledgers);

  function el(tag, props, ...children) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(props || {})) {
      if (key in node) node[key] = value; else node.setAttribute(key, value);
    }
    node.append(...children.filter((c) => c !== null && c !== undefined));
    return node;
  }
  const pad = (n, width) => String(n).padStart(width, "0");
  function clock(us) { // as the terminal writes it
    const ms = Math.round(Math.abs(us) / 1000), s = Math.floor(ms / 1000), sign = us < 0 ? "-" : "";
    if (s < 60) return `${sign}${s}.${pad(ms % 1000, 3)} s`;
    if (s < 3600) return `${sign}${Math.floor(s / 60)}:${pad(s % 60, 2)}.${pad(ms % 1000, 3)}`;
    return `${sign}${Math.floor(s / 3600)}:${pad(Math.floor(s / 60) % 60, 2)}:${pad(s % 60, 2)}.${pad(ms % 1000, 3)}`;
  }
  function span(us) {
    if (us < 1000) return `${us} µs`;
    if (us < SECOND) return `${(us / 1000).toPrecision(3)} ms`;
    return `${(us / SECOND).toPrecision(3)} s`;
  }
  const number = (n) => n.toLocaleString("en-US").replaceAll(",", " "); // as the judge writes it

  // ---- failed hits: columns of varints, as encoding/binary's AppendVarint writes them -------------------------------
  const failures = decodeFailures();

  function decodeFailures() {
    const total = arms.reduce((n, a) => n + a.failures.kept, 0);
    const at = new Float64Array(total), latency = new Float64Array(total), lag = new Float64Array(total), seq = new Float64Array(total);
    const kind = new Uint32Array(total), arm = new Uint8Array(total);
    let n = 0;
    arms.forEach((a, index) => {
      const bytes = fromBase64(a.failures.column);
      for (const k of list(a.failures.kinds)) k.n = 0;
      let pos = 0, lastAt = 0, lastSeq = 0;
      const varint = () => { // numbers, not 32-bit operators: microseconds of a long run need more bits
        let value = 0, scale = 1, byte;
        do { byte = bytes[pos++]; value += (byte & 127) * scale; scale *= 128; } while (byte & 128);
        return value % 2 ? -(value + 1) / 2 : value / 2;
      };
      for (let i = 0; i < a.failures.kept; i++, n++) {
        at[n] = lastAt += varint();
        seq[n] = lastSeq += varint();
        latency[n] = varint(); lag[n] = varint(); kind[n] = varint(); arm[n] = index;
        a.failures.kinds[kind[n]].n++;
      }
    });
    const order = Uint32Array.from({ length: total }, (_, i) => i).sort((a, b) => at[a] - at[b]);
    const pick = (column) => column.constructor.from(order, (i) => column[i]);
    return { n: total, at: pick(at), latency: pick(latency), lag: pick(lag), seq: pick(seq), kind: pick(kind), arm: pick(arm) };
  }
  function fromBase64(text) {
    const raw = atob(text || ""), bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
    return bytes;
  }
  const kindOf = (i) => arms[failures.arm[i]].failures.kinds[failures.kind[i]];
  const idOf = (i) => `${arms[failures.arm[i]].name}/${failures.seq[i]}`;
  function firstAt(us) { // index of the first failure at or after a moment
    let lo = 0, hi = failures.n;
    while (lo < hi) { const mid = (lo + hi) >> 1; if (failures.at[mid] < us) lo = mid + 1; else hi = mid; }
    return lo;
  }

  // ---- the span of time that is shown ---------------------------------------------------------------------------------
  const whole = wholeRun();
  const limits = { lo: Math.min(0, whole.lo), hi: Math.max(data.end, whole.hi) };
  let view = { ...whole };

  function wholeRun() { // what there is to see; a long set-up before the load is reached by zooming out
    let lo = Infinity, hi = -Infinity;
    const cover = (a, b) => { lo = Math.min(lo, a); hi = Math.max(hi, b); };
    for (const a of arms) if (a.n.length) cover(a.base * data.width, (a.base + a.n.length) * data.width);
    for (const l of ledgers) cover(l.begin, l.until);
    for (const d of disturbances) cover(d.began, Math.max(d.began, d.healed, d.failed, d.landed));
    if (lo > hi) cover(0, Math.max(data.end, SECOND));
    const margin = Math.max((hi - lo) * 0.01, 10000);
    return { lo: lo - margin, hi: hi + margin };
  }
  function show(lo, hi) {
    const width = Math.min(Math.max(hi - lo, 2000), Math.max(limits.hi - limits.lo, whole.hi - whole.lo));
    const middle = (lo + hi) / 2;
    lo = Math.max(Math.min(limits.lo, whole.lo), Math.min(middle - width / 2, Math.max(limits.hi, whole.hi) - width));
    view = { lo, hi: lo + width };
    draw();
  }
  const zoom = (factor, at = (view.lo + view.hi) / 2) => show(at - (at - view.lo) * factor, at + (view.hi - at) * factor);
  const pan = (share) => show(view.lo + (view.hi - view.lo) * share, view.hi + (view.hi - view.lo) * share);
  const actions = {
    in: () => zoom(0.5), out: () => zoom(2), left: () => pan(-0.25), right: () => pan(0.25), home: () => show(whole.lo, whole.hi),
  };

  // ---- geometry: every panel has the same gutter on its left --------------------------------------------------------
  let gutter = 0, inner = 0, tail = 0;
  function measure() {
    const lengths = getComputedStyle(root);
    gutter = parseFloat(lengths.getPropertyValue("--gutter"));
    tail = parseFloat(lengths.getPropertyValue("--tail"));
    inner = Math.max(panels.clientWidth - gutter - tail, 50);
  }
  const xOf = (us) => (us - view.lo) / (view.hi - view.lo) * inner;
  const timeAt = (x) => view.lo + x / inner * (view.hi - view.lo);

  // ---- panels made of elements: disturbances, steps, pods, changes --------------------------------------------------
  const placed = []; // { node, from, to, least }

  let shelf = panels; // where lanes are put
  function lane(name, cls) {
    const track = el("div", { className: "track" });
    shelf.append(el("div", { className: "lane " + (cls || "") }, el("div", { className: "name", title: name }, name), track));
    return track;
  }
  function place(track, node, from, to) { track.append(node); placed.push({ node, from, to }); return node; }
  function mark(track, cls, text, from, to, title, rows) {
    const node = place(track, el("button", { type: "button", className: "mark " + cls }, text), from, to);
    node.setAttribute("aria-label", [title, ...rows.map(([k, v]) => `${k} ${v}`)].join(", "));
    const say = () => tell(node, title, rows);
    node.addEventListener("focus", say);
    node.addEventListener("mouseenter", say);
    node.addEventListener("blur", hush);
    node.addEventListener("mouseleave", hush);
    node.addEventListener("click", () => { const m = Math.max(to - from, SECOND) * 0.5; show(from - m, to + m); });
    return node;
  }
  const endOf = (d) => d.healed >= 0 ? d.healed : d.failed >= 0 ? d.failed : data.end;

  function buildLanes() {
    for (const d of disturbances) {
      const track = lane(d.name, "disturbance");
      const state = d.failed >= 0 ? "failed" : d.landed < 0 ? "unlanded" : "";
      const rows = [["target", d.target], ["began", clock(d.began)],
        ["landed", d.landed >= 0 ? clock(d.landed) : "never seen to land"], ["healed", d.healed >= 0 ? clock(d.healed) : "not seen"],
        [d.unhealed ? "healing failed" : "failed", d.failed >= 0 ? clock(d.failed) : ""], ["injects failures in", d.injects],
        ...d.evidence.map((e) => ["saw", `${clock(e.at)} ${e.what}: ${e.saw}`])].filter(([, v]) => v);
      const said = d.unhealed ? " (was not healed)" : state === "failed" ? " (could not be made to happen)" : state ? " (never landed)" : "";
      mark(track, state, (d.target || d.name) + said, d.began, endOf(d), d.name, rows);
      if (d.landed >= 0) place(track, el("i", { className: "landed" }), d.landed, d.landed);
    }
    if (steps.length) {
      const track = lane("steps");
      steps.forEach((s) => {
        mark(track, "step", `${s.name}: ${s.weight} % ${s.canary}`, s.at, s.until, s.name,
          [["from", clock(s.at)], ["stable", s.stable], ["canary", s.canary], ["share", `${s.weight} %`]]);
      });
    }
  }
  function buildChanges() {
    for (const r of list(data.changes)) {
      const track = lane(r.resource + (r.beyond ? ` (+${number(r.beyond)})` : ""));
      for (const m of r.marks) mark(track, "point " + (r.resource === "evictions" ? "evictions" : ""), "", m.at, m.at, `${r.resource} ${m.name}`, [["at", clock(m.at)], ["what", m.type], ["seen", m.text]].filter(([, v]) => v));
    }
    const named = list(data.milestones);
    if (named.length) {
      const track = lane("milestones");
      for (const m of named) mark(track, "point", "", m.at, m.at, m.name, [["at", clock(m.at)], ["text", m.text]].filter(([, v]) => v));
    }
  }
  const podRows = (p) => [["version", p.version], ["node", p.node], ["address", p.ip], ...p.states.map((s) => [s.state, clock(s.at)])].filter(([, v]) => v);
  function toldLane(name, cls, kind, rows) { // a lane that tells all it has at once
    const track = lane(name, cls), row = track.parentNode;
    row.tabIndex = 0;
    row.setAttribute("role", "img");
    row.setAttribute("aria-label", [`${kind} ${name}`, ...rows.map(([k, v]) => `${k} ${v}`)].join(", "));
    row.addEventListener("focus", () => tell(row, name, rows));
    row.addEventListener("mouseenter", () => tell(row, name, rows));
    row.addEventListener("blur", hush);
    row.addEventListener("mouseleave", hush);
    return track;
  }
  function placeStates(track, p) {
    p.states.forEach((s, i) => {
      if (s.state !== "gone") place(track, el("span", { className: "seg " + s.state }), s.at, i + 1 < p.states.length ? p.states[i + 1].at : data.end);
    });
  }
  const podStates = ["starting", "ready", "unready", "terminating"];
  const stateKey = () => podStates.map((state) => el("span", {}, el("i", { className: "seg " + state }), state));
  function buildPods() {
    const pods = list(data.pods);
    for (const p of pods) placeStates(toldLane(p.name, "pod", "pod", podRows(p)), p);
    if (!pods.length) return;
    const key = el("div", { className: "key" }, ...stateKey());
    if (data.podsBeyond) key.append(`${number(data.podsBeyond)} further pods are not drawn`);
    shelf.append(key);
  }
  // ---- stores: what was acknowledged, who led, how the members were -------------------------------------------------
  function buildLedgers() {
    for (const l of ledgers) {
      buildWrites(l);
      buildGaps(l);
      buildLeaders(l);
      buildHealth(l);
      for (const m of list(l.members)) buildMember(l, m);
    }
    if (!ledgers.length) return;
    const sign = (cls, text) => el("span", {}, el("i", { className: "seg " + cls }), text);
    const key = el("div", { className: "key" }, ...stateKey(), sign("led", "leads"), sign("gap", "no write acknowledged"));
    if (ledgers.some((l) => list(l.members).some((m) => m.lost.length))) key.append(sign("lost", "acknowledged, and not on this member"));
    panels.append(key);
  }
  function buildWrites(l) {
    const n = l.acked.length;
    if (!n) return;
    const x = Float64Array.from({ length: n }, (_, i) => (l.base + i + 0.5) * l.width / SECOND);
    const rate = (v, i) => { // the first and the last bucket may be only partly of the ledger: they have no rate
      const from = (l.base + i) * l.width, part = Math.min(from + l.width, l.until) - Math.max(from, l.begin);
      return part > 0 && part < 0.95 * l.width ? null : v / l.width * SECOND;
    };
    const columns = [l.acked.map(rate)], series = [{ color: "--arm-0", width: 1.5, shown: () => true }];
    const other = l.other.some((v) => v > 0);
    const alone = (v, i, all) => !v && !all[i - 1] && !all[i + 1]; // no line runs along the bottom
    if (other) { columns.push(l.other.map((v, i, all) => alone(v, i, all) ? null : rate(v, i))); series.push({ color: "--fail", width: 1.2, dash: [3, 2], shown: () => true }); }
    chart([l.name, "writes", "per second"], 110, x, columns, series,
      { scale: { range: (u, min, max) => [0, (max || 1) * 1.1] }, values: (u, ticks) => ticks.map((v) => number(v)) },
      (g, left, top, width, height) => markStore(l, g, left, top, width, height));
    const key = el("div", { className: "key legend" }, swatch("--arm-0", "", `acknowledged by ${l.name}`));
    if (other) key.append(swatch("--fail", "dots", "failed or unknown"));
    panels.append(key);
  }
  function markStore(l, g, left, top, width, height) { // gaps as bands and hand-overs as upright lines, behind the line of the writes
    for (const s of list(l.gaps)) {
      const from = Math.max(xOf(s.from), 0), to = Math.min(xOf(s.until), width);
      if (to < 0 || from > width) continue;
      g.fillStyle = css("--gap");
      g.fillRect(left + from, top, Math.max(to - from, 1), height);
    }
    g.strokeStyle = css("--ink"); g.lineWidth = 1; g.setLineDash([3, 3]);
    for (const s of list(l.leads)) {
      const x = xOf(s.from);
      if (!s.after || x < 0 || x > width) continue;
      g.beginPath(); g.moveTo(left + x, top); g.lineTo(left + x, top + height); g.stroke();
    }
    g.setLineDash([]);
  }
  const during = (s) => [["from", clock(s.from)], ["until", clock(s.until)], ["for", span(s.until - s.from)]];
  function buildGaps(l) {
    const gaps = list(l.gaps);
    if (!gaps.length) return;
    const track = lane("gaps" + (l.gapsBeyond ? ` (+${number(l.gapsBeyond)})` : ""), "gaps");
    for (const s of gaps) mark(track, "gap", span(s.until - s.from), s.from, s.until, `no write to ${l.name} acknowledged`, during(s));
  }
  function buildLeaders(l) {
    const leads = list(l.leads);
    if (!leads.length) return;
    const track = lane("leader" + (l.beyond ? ` (+${number(l.beyond)})` : ""), "leader");
    for (const s of leads) {
      const text = s.after ? "→ " + s.short : s.short || "none named", title = s.after ? `${s.after} → ${s.leader}` : s.leader || `${l.name} names no leader`;
      const rows = [...during(s), ["took over from", s.after], ["saw", s.error]].filter(([, v]) => v);
      mark(track, s.leader ? s.after ? "lead handover" : "lead" : "leaderless", text, s.from, s.until, title, rows);
    }
  }
  function buildHealth(l) {
    const health = list(l.health);
    if (!health.length) return;
    const track = lane("up to date", "health");
    for (const s of health) {
      const state = s.error ? "silent" : s.shards === "red" ? "silent" : s.upToDate < s.of || s.shards === "yellow" ? "fewer" : "all", text = s.error ? "no answer" : (s.shards ? s.shards + ", " : "") + `${s.upToDate} of ${s.of}`;
      mark(track, "health-" + state, text, s.from, s.until, `${l.name}: ${s.error ? "no answer" : `${text} members up to date`}`, [...during(s), ["saw", s.error]].filter(([, v]) => v));
    }
  }
  function buildMember(l, m) {
    const lost = m.lost.length + (m.lostBeyond || 0);
    const rows = [["store", l.workload || l.name], ...m.pods.flatMap(podRows), ["led from", m.led.map((s) => clock(s.from)).join(", ")],
      ["lost", lost ? `${number(lost)} acknowledged writes` : ""]].filter(([, v]) => v);
    const track = toldLane(m.name, "pod member", "member", rows);
    for (const p of m.pods) placeStates(track, p);
    for (const s of m.led) place(track, el("span", { className: "seg led" }), s.from, s.until);
    for (const w of m.lost) place(track, el("i", { className: "lost" }), w.at, w.at);
  }

  // What Kubernetes did is folded until it is asked for: it crowds out what the requests met.
  function buildFolded() {
    const pods = list(data.pods).length, marks = list(data.changes).map((r) => `${r.resource} ${number(r.marks.length + (r.beyond || 0))}`);
    if (pods) marks.unshift(`pods ${number(pods)}`);
    if (list(data.milestones).length) marks.push(`milestones ${number(data.milestones.length)}`);
    if (!marks.length) return;
    shelf = el("details", { id: "lanes" }, el("summary", {}, "Kubernetes and milestones: " + marks.join(", ")));
    panels.append(shelf);
    buildChanges();
    buildPods();
    shelf.addEventListener("toggle", layOut);
    shelf = panels;
  }

  // ---- the one time axis --------------------------------------------------------------------------------------------
  const axis = el("div", { className: "track" });

  function ticks() { // moments in seconds, as many as there is room for
    const seconds = (view.hi - view.lo) / SECOND, least = seconds / Math.max(3, Math.floor(inner / 60));
    const steps = [60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 43200, 86400];
    let step = least >= 30 ? steps.find((s) => s >= least) : 0;
    if (!step) {
      const power = 10 ** Math.floor(Math.log10(least));
      step = [1, 2, 5, 10].find((m) => m * power >= least * 0.999) * power;
    }
    const found = [];
    for (let i = Math.ceil(Math.max(view.lo, limits.lo) / SECOND / step); i * step <= view.hi / SECOND; i++) found.push(i * step);
    return found;
  }
  function drawAxis() {
    axis.replaceChildren(...ticks().map((s) => ({ s, x: xOf(s * SECOND) })).filter(({ x }) => x <= inner - 8).map(({ s, x }) => {
      const label = el("span", {}, tick(s));
      label.style.left = x + "px";
      return label;
    }));
  }

  function layOut() {
    for (const p of placed) {
      const from = Math.max(xOf(p.from), -4), to = Math.min(xOf(p.to), inner + 4);
      p.node.hidden = to < -3 || from > inner + 3;
      p.node.style.left = from + "px";
      if (p.to > p.from) p.node.style.width = Math.max(to - from, 1) + "px";
      p.node.classList.toggle("tight", p.to > p.from && to - from < 7 * Math.min(p.node.textContent.length, 6)); // a cut letter tells nothing
    }
  }

  // ---- the panel of failed hits: one row for each arm, one mark for each hit ----------------------------------------
  const ROW = 20;
  const keyed = []; // draws the signs of the key
  let failCanvas, failBox, picked = -1;

  function buildFailures() {
    if (!arms.length) return; // no hit can have failed
    failCanvas = el("canvas", {});
    failBox = el("div", { id: "failures", tabIndex: 0 }, failCanvas);
    failBox.setAttribute("role", "group");
    failBox.setAttribute("aria-roledescription", "list of failed hits");
    failBox.setAttribute("aria-label", failures.n ? `${number(failures.n)} failed hits: step through them with the arrow keys` : "no failed hits");
    const names = el("div", { className: "name" });
    for (const a of arms) {
      const n = el("div", { title: a.name }, a.failed ? `${a.name} ${number(a.failed)}✕` : a.name);
      n.style.height = n.style.lineHeight = ROW + "px";
      names.append(n);
    }
    panels.append(el("div", { className: "lane failed" }, names, failBox));
    buildMarkKey();
    failBox.addEventListener("mousemove", (e) => {
      const box = failCanvas.getBoundingClientRect(), i = nearest(e.clientX - box.left, e.clientY - box.top);
      if (i >= 0) pick(i, false); else hush();
    });
    failBox.addEventListener("mouseleave", hush);
    failBox.addEventListener("blur", hush);
    failBox.addEventListener("keydown", stepThrough);
  }
  function buildMarkKey() {
    const counts = new Map();
    for (const k of arms.flatMap((a) => list(a.failures.kinds))) {
      const name = k.class + (k.injected ? ", injected" : "");
      counts.set(name, (counts.get(name) || 0) + k.n);
    }
    const resent = arms.reduce((n, a) => n + a.masked, 0), key = el("div", { className: "key" });
    const entry = (text, paintSign) => {
      const canvas = el("canvas", {});
      key.append(el("span", {}, canvas, text));
      keyed.push(() => paintSign(fit(canvas, 14, 12)));
    };
    for (const [name, n] of [...counts].sort()) {
      const cls = name.split(",")[0];
      entry(`${name} ${number(n)}`, (g) => sign(g, cls, name !== cls, 6, 6, css("--c-" + cls)));
    }
    if (resent) entry(`sent again silently by Go's transport ${number(resent)}`, (g) => ring(g, 6, 6));
    if (keyed.length) panels.append(key);
  }
  function ring(g, x, y) {
    g.strokeStyle = css("--soft"); g.lineWidth = 1;
    g.beginPath(); g.arc(x, y, 2.5, 0, 7); g.stroke();
  }
  function nearest(x, y) {
    const row = Math.floor(y / ROW), reach = 7;
    let best = -1, bestGap = reach + 1;
    for (let i = firstAt(timeAt(x - reach)), looked = 0; i < failures.n && looked < 20000; i++, looked++) {
      const px = xOf(failures.at[i]);
      if (px > x + reach) break;
      if (failures.arm[i] !== row || hidden.has(row)) continue;
      const gap = Math.abs(px - x);
      if (gap < bestGap) { best = i; bestGap = gap; }
    }
    return best;
  }
  function stepThrough(e) {
    if (!failures.n || e.altKey || e.ctrlKey || e.metaKey) return;
    const seen = picked >= 0 ? picked : -1;
    let to;
    if (e.key === "ArrowRight") to = seen < 0 ? Math.min(firstAt(view.lo), failures.n - 1) : Math.min(seen + 1, failures.n - 1);
    else if (e.key === "ArrowLeft") to = seen < 0 ? Math.max(firstAt(view.hi) - 1, 0) : Math.max(seen - 1, 0);
    else if (e.key === "Home") to = 0;
    else if (e.key === "End") to = failures.n - 1;
    else if (e.key === "Enter" && seen >= 0) { show(failures.at[seen] - SECOND / 4, failures.at[seen] + SECOND / 4); to = seen; }
    else if (e.key === "Escape") { hush(); return; }
    else return;
    e.preventDefault();
    e.stopPropagation();
    if (failures.at[to] < view.lo || failures.at[to] > view.hi) {
      const half = (view.hi - view.lo) / 2;
      show(failures.at[to] - half, failures.at[to] + half);
    }
    pick(to, true);
  }
  function pick(i) {
    if (picked !== i) { picked = i; drawFailures(); }
    const k = kindOf(i), box = failCanvas.getBoundingClientRect();
    const rows = [["whose", k.injected ? `${k.class}, injected on purpose` : k.class], ["reason", k.reason], ["status", k.code || "no complete answer"], ["error", k.error],
      ["version", k.version], ["pod", k.pod], ["request", [k.method, k.url].filter(Boolean).join(" ")], ["answer", k.body],
      ["took", span(failures.latency[i])], ["start lag", span(failures.lag[i])], ["never sent", k.unsent ? "yes" : ""],
      ["note", k.cut ? "texts are left out: too many different ones; they are in the record" : ""]].filter(([, v]) => v);
    tellAt(box.left + xOf(failures.at[i]), box.top + (failures.arm[i] + 1) * ROW, `${idOf(i)} at ${clock(failures.at[i])}`, rows);
    tip.dataset.hit = idOf(i);
  }
  function drawFailures() {
    if (!failCanvas) return;
    const g = fit(failCanvas, inner, Math.max(arms.length, 1) * ROW);
    const color = { application: css("--c-application"), ingress: css("--c-ingress"), harness: css("--c-harness"), ambiguous: css("--c-ambiguous") };
    const order = Object.keys(color), line = css("--grid");
    g.strokeStyle = line;
    for (let row = 0; row < arms.length; row++) { g.beginPath(); g.moveTo(0, (row + 1) * ROW - 0.5); g.lineTo(inner, (row + 1) * ROW - 0.5); g.stroke(); }
    shade(g, 0, 0, inner, arms.length * ROW);
    arms.forEach((a, row) => !hidden.has(row) && a.resent.forEach((n, i) => {
      const x = n ? xOf((a.base + i + 0.5) * data.width) : -1;
      if (x >= 0 && x <= inner) ring(g, x, row * ROW + ROW - 5);
    }));
    const width = Math.ceil(inner) + 16, drawn = new Uint8Array(width * arms.length * 8); // marks on the same spot are drawn once
    for (let i = firstAt(timeAt(-5)), end = timeAt(inner + 5); i < failures.n && failures.at[i] <= end; i++) {
      const row = failures.arm[i];
      if (hidden.has(row)) continue;
      const k = kindOf(i), bad = k.injected, x = xOf(failures.at[i]);
      const spot = ((row * width) + Math.max(0, Math.round(x) + 8)) * 8 + Math.max(order.indexOf(k.class), 0) * 2 + bad;
      if (drawn[spot]) continue;
      drawn[spot] = 1;
      sign(g, k.class, bad, x, row * ROW + ROW / 2, color[k.class] || css("--ink"));
    }
    if (picked >= 0 && !hidden.has(failures.arm[picked])) {
      g.strokeStyle = css("--focus"); g.lineWidth = 2;
      g.beginPath(); g.arc(xOf(failures.at[picked]), failures.arm[picked] * ROW + ROW / 2, 8, 0, 7); g.stroke();
    }
  }
  function sign(g, cls, hollow, x, y, color) { // a shape for each class, so that colour is not all that tells them apart
    const r = 4;
    g.strokeStyle = g.fillStyle = color; g.lineWidth = hollow ? 1.2 : 2;
    g.beginPath();
    if (hollow && cls === "application") { g.arc(x, y, r, 0, 7); g.stroke(); return; }
    if (cls === "ingress") { g.moveTo(x, y - r); g.lineTo(x + r, y + r); g.lineTo(x - r, y + r); g.closePath(); }
    else if (cls === "harness") g.rect(x - r + 0.5, y - r + 0.5, 2 * r - 1, 2 * r - 1);
    else if (cls === "ambiguous") { g.moveTo(x, y - r - 1); g.lineTo(x + r, y); g.lineTo(x, y + r + 1); g.lineTo(x - r, y); g.closePath(); }
    else { g.moveTo(x - r, y - r); g.lineTo(x + r, y + r); g.moveTo(x + r, y - r); g.lineTo(x - r, y + r); g.stroke(); return; }
    if (hollow) g.stroke(); else g.fill();
  }
  function fit(canvas, width, height) {
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio);
    canvas.style.width = width + "px"; canvas.style.height = height + "px";
    const g = canvas.getContext("2d");
    g.scale(ratio, ratio);
    return g;
  }
  function shade(g, left, top, width, height) { // the bands of the disturbances, behind what is drawn
    for (const d of disturbances) {
      const from = Math.max(xOf(d.began), 0), to = Math.min(xOf(endOf(d)), width);
      if (to < 0 || from > width) continue;
      g.fillStyle = css("--band");
      g.fillRect(left + from, top, Math.max(to - from, 1), height);
    }
  }

  // ---- the charts: rate, latency, share of each version --------------------------------------------------------------
  const hidden = new Set(); // rows of arms that are switched off
  const quantiles = [["p50", "", "p50", 1.75, []], ["p99", "thin", "p99", 0.9, []], ["max", "dots", "max", 1, [2, 3]]];
  const shownQuantiles = new Set(["p50", "p99"]);
  const buckets = gatherBuckets();
  let charts = [];

  function gatherBuckets() {
    const filled = arms.filter((a) => a.n.length);
    const from = Math.min(...filled.map((a) => a.base)), to = Math.max(...filled.map((a) => a.base + a.n.length));
    const n = filled.length ? to - from : 0;
    return { from, n, x: Float64Array.from({ length: n }, (_, i) => (from + i + 0.5) * data.width / SECOND) };
  }
  const column = (a, values, map) => {
    const out = new Array(buckets.n).fill(null);
    values.forEach((v, i) => { out[a.base - buckets.from + i] = map(v, i); });
    return out;
  };
  // An arm's first and last bucket may be only partly under load: they have no rate. Hits after the load's planned end are late
  // starts, and shown as such.
  function covered(a, i) {
    const from = (a.base + i) * data.width, to = from + data.width;
    if (i > 0 && i < a.n.length - 1) return 1;
    const part = Math.min(to, lastStart[a.name] ?? to) - Math.max(from, firstStart[a.name] ?? from);
    return part / data.width;
  }
  const firstStart = {}, lastStart = {};
  for (const w of list(data.windows)) {
    firstStart[w.arm] = Math.min(firstStart[w.arm] ?? Infinity, w.begin);
    lastStart[w.arm] = Math.max(lastStart[w.arm] ?? -Infinity, w.begin + w.length);
  }
  const rate = (a) => column(a, a.n, (n, i) => {
    const part = covered(a, i);
    return part > 0 && part < 0.95 ? null : n / data.width * SECOND;
  });
  const armColor = (i) => arms[i].control ? "--control" : "--arm-" + arms.slice(0, i).filter((a) => !a.control).length % 6;

  function chart(label, height, x, columns, series, y, under = () => {}) {
    const box = el("div", { className: "plot" }), name = el("div", { className: "name" });
    label.forEach((part, i) => name.append(...(i ? [el("br"), " ", part] : [part])));
    box.append(name);
    box.setAttribute("role", "img");
    box.setAttribute("aria-label", label.join(" ") + " over time");
    panels.append(box);
    const make = () => {
      const font = "11px system-ui, sans-serif", grid = { stroke: css("--grid"), width: 1 };
      return new uPlot({
        width: gutter + inner + tail, height, padding: [8, tail, 0, 0], legend: { show: false }, cursor: { show: false }, select: { show: false },
        scales: { x: { time: false, auto: false, min: view.lo / SECOND, max: view.hi / SECOND }, y: y.scale },
        axes: [
          { grid, ticks: { show: false }, size: 6, splits: ticks, values: (u, at) => at.map(() => "") },
          { stroke: css("--soft"), font, grid: { ...grid, ...y.only }, ticks: { ...grid, ...y.only }, size: gutter, values: y.values, ...y.only, gap: 4 },
        ],
        series: [{}, ...series.map((s) => ({
          stroke: css(s.color), width: s.width, dash: s.dash, show: s.shown(), points: { show: false }, spanGaps: false, paths: s.paths,
        }))],
        hooks: { drawClear: [(u) => { const g = u.ctx, r = uPlot.pxRatio; g.save(); g.scale(r, r); for (const paint of [shade, under]) paint(g, u.bbox.left / r, u.bbox.top / r, u.bbox.width / r, u.bbox.height / r); g.restore(); }] },
      }, [x, ...columns], box);
    };
    charts.push({ box, make, series, u: null });
  }
  function tick(s) {
    const width = (view.hi - view.lo) / SECOND, digits = width < 0.02 ? 4 : width < 0.2 ? 3 : width < 2 ? 2 : width < 20 ? 1 : 0;
    if (s < 60 || width < 20) return (+s.toFixed(digits)) + " s";
    return `${Math.floor(s / 60)}:${pad(Math.floor(s % 60), 2)}`;
  }
  const millis = (v) => v === null ? "" : v >= 1000 ? v / 1000 + " s" : v >= 1 ? v + " ms" : Math.round(v * 1000) + " µs";

  function buildCharts() {
    if (!buckets.n) return;
    const visible = (i) => () => !hidden.has(i);
    chart(["hits", "per second"], 150, buckets.x, arms.map(rate), arms.map((a, i) => ({ color: armColor(i), width: 1.5, shown: visible(i) })),
      { scale: { range: (u, min, max) => [0, (max || 1) * 1.1] }, values: (u, ticks) => ticks.map((v) => number(v)) });
    const columns = [], series = [];
    arms.forEach((a, i) => quantiles.forEach(([name, , field, width, dash]) => {
      columns.push(column(a, a[field], (v) => v < 0 ? null : Math.max(v, 1) / 1000));
      series.push({ color: armColor(i), width, dash, shown: () => !hidden.has(i) && shownQuantiles.has(name) });
    }));
    chart(["latency", "log scale"], 200, buckets.x, columns, series, {
      scale: { distr: 3, range: (u, min, max) => [(min || 1) * 0.6, Math.max(max || 10, (min || 1) * 4) * 1.6] },
      values: (u, ticks) => ticks.map(millis), only: { filter: (u, ticks) => {
        const labelled = u.scales.y.max / u.scales.y.min > 300 ? /^10*$/ : /^[125]0*$/;
        return ticks.map((v) => v !== null && labelled.test(String(+(v * 1000).toPrecision(6))) ? v : null);
      } },
    });
    buildShares();
  }
  function buildShares() {
    const under = arms.filter((a) => !a.control), names = [...new Set(under.flatMap((a) => Object.keys(a.versions)))].sort();
    if (names.length < 2) return;
    const counts = names.map(() => new Array(buckets.n).fill(0)), totals = new Array(buckets.n).fill(0);
    for (const a of under) names.forEach((name, v) => list(a.versions[name]).forEach((n, i) => {
      counts[v][a.base - buckets.from + i] += n; totals[a.base - buckets.from + i] += n;
    }));
    const columns = counts.map((c) => c.map((n, i) => totals[i] ? n / totals[i] * 100 : null));
    const series = names.map((_, i) => ({ color: "--arm-" + i % 6, width: 1.5, shown: () => true }));
    if (steps.length) {
      let s = -1;
      columns.push(Array.from(buckets.x, (x) => { while (s + 1 < steps.length && steps[s + 1].at <= x * SECOND) s++; return s < 0 ? null : steps[s].weight; }));
      series.push({ color: "--soft", width: 1.5, dash: [6, 4], shown: () => true, paths: uPlot.paths.stepped({ align: 1 }) });
    }
    chart(["share of", "versions"], 120, buckets.x, columns, series, { scale: { range: () => [0, 104] }, values: (u, ticks) => ticks.map((v) => v + " %") });
    const key = el("div", { className: "key legend" });
    names.forEach((name, i) => key.append(swatch("--arm-" + i % 6, "", name)));
    if (steps.length) key.append(swatch("--soft", "thin", "share asked for by the release's steps"));
    panels.append(key);
  }
  function swatch(color, cls, text) {
    const line = el("i", { className: cls });
    line.style.color = `var(${color})`;
    const node = el("span", {}, line, text);
    node.style.display = "inline-flex"; node.style.gap = "6px"; node.style.alignItems = "center";
    line.style.width = "18px"; line.style.height = "0";
    return node;
  }

  // ---- tooltip --------------------------------------------------------------------------------------------------------
  function tell(node, title, rows) {
    const box = node.getBoundingClientRect(), edge = panels.getBoundingClientRect();
    tellAt(Math.max(box.left, edge.left + gutter) + 6, box.bottom, title, rows);
  }
  function tellAt(clientX, clientY, title, rows) {
    const pairs = el("dl");
    for (const [k, v] of rows) pairs.append(el("dt", {}, k), el("dd", {}, String(v)));
    tip.replaceChildren(el("strong", {}, title), pairs);
    tip.hidden = false;
    delete tip.dataset.hit;
    const left = Math.min(clientX + 8, root.clientWidth - tip.offsetWidth - 12);
    tip.style.left = Math.max(left, 8) + window.scrollX + "px";
    tip.style.top = clientY + 6 + window.scrollY + "px";
  }
  function hush() {
    tip.hidden = true;
    if (picked >= 0) { picked = -1; drawFailures(); }
  }

  // ---- drawing --------------------------------------------------------------------------------------------------------
  const cross = el("div", { id: "cross", hidden: true }), drag = el("div", { id: "drag", hidden: true });

  function draw() {
    for (const c of charts) c.u.setScale("x", { min: view.lo / SECOND, max: view.hi / SECOND });
    drawAxis();
    drawFailures();
    layOut();
    sayRange();
  }
  function sayRange(at) {
    const shown = `${clock(Math.max(view.lo, 0))} to ${clock(view.hi)}`;
    $("range").textContent = at === undefined ? shown : `${clock(at)} of ${shown}`;
    timeline.dataset.lo = view.lo; timeline.dataset.hi = view.hi;
  }
  function rebuild() { // after a change of size or colours
    inks = new Map();
    measure();
    for (const c of charts) { if (c.u) c.u.destroy(); c.u = c.make(); }
    for (const paintKey of keyed) paintKey();
    draw();
  }

  // ---- legends --------------------------------------------------------------------------------------------------------
  function buildLegends() {
    arms.forEach((a, i) => $("arms").append(toggle(a.name + (a.control && a.name !== "control" ? " (control)" : ""), armColor(i), "", () => !hidden.has(i), () => hidden.has(i) ? hidden.delete(i) : hidden.add(i))));
    if (buckets.n) quantiles.forEach(([name, cls]) => $("quantiles").append(toggle(name, "--soft", cls, () => shownQuantiles.has(name), () => shownQuantiles.has(name) ? shownQuantiles.delete(name) : shownQuantiles.add(name))));
  }
  function toggle(text, color, cls, shown, flip) {
    const line = el("i", { className: cls }), button = el("button", { type: "button" }, line, text);
    line.style.color = `var(${color})`;
    const sync = () => button.setAttribute("aria-pressed", String(shown()));
    button.addEventListener("click", () => {
      flip(); sync();
      for (const c of charts) c.series.forEach((s, i) => { if (c.u.series[i + 1].show !== s.shown()) c.u.setSeries(i + 1, { show: s.shown() }); });
      drawFailures();
    });
    sync();
    return button;
  }

  // ---- mouse and keys -------------------------------------------------------------------------------------------------
  const localX = (e) => e.clientX - panels.getBoundingClientRect().left - gutter;
  let dragFrom = null;

  function listen() {
    panels.addEventListener("mousemove", (e) => {
      const x = localX(e);
      cross.hidden = x < 0;
      cross.style.left = gutter + x + "px";
      sayRange(x < 0 ? undefined : timeAt(x));
      if (dragFrom === null) return;
      drag.hidden = false;
      drag.style.left = gutter + Math.min(dragFrom, x) + "px";
      drag.style.width = Math.abs(x - dragFrom) + "px";
    });
    panels.addEventListener("mouseleave", () => { cross.hidden = true; sayRange(); });
    panels.addEventListener("mousedown", (e) => { if (e.button === 0 && !e.target.closest("button") && localX(e) >= 0) dragFrom = localX(e); });
    window.addEventListener("mouseup", (e) => {
      if (dragFrom === null) return;
      const a = Math.min(dragFrom, localX(e)), b = Math.max(dragFrom, localX(e));
      dragFrom = null; drag.hidden = true;
      if (b - a > 4) show(timeAt(a), timeAt(b));
    });
    panels.addEventListener("dblclick", (e) => { if (!e.target.closest("button")) actions.home(); });
    panels.addEventListener("wheel", (e) => { // with a key held, so that the page still scrolls
      if (!e.ctrlKey && !e.metaKey) return;
      e.preventDefault();
      zoom(e.deltaY > 0 ? 1.25 : 0.8, timeAt(localX(e)));
    }, { passive: false });
    for (const b of document.querySelectorAll("[data-do]")) b.addEventListener("click", () => actions[b.dataset.do]());
    timeline.addEventListener("keydown", (e) => {
      if (e.altKey || e.ctrlKey || e.metaKey) return;
      const action = { "+": "in", "=": "in", "-": "out", "_": "out", ArrowLeft: "left", ArrowRight: "right", 0: "home" }[e.key];
      if (e.key === "Escape") hush();
      if (!action) return;
      e.preventDefault();
      actions[action]();
    });
    window.addEventListener("resize", rebuild);
    window.addEventListener("hashchange", jump);
    document.addEventListener("click", (e) => { // a second click on the same finding jumps again
      const link = e.target.closest && e.target.closest("a.jump");
      if (link && link.hash === location.hash) jump();
    });
  }
  function jump() {
    let hash = location.hash.slice(1);
    try { hash = decodeURIComponent(hash); } catch { /* not ours, then */ }
    const [what, value] = [hash.slice(0, hash.indexOf("=")), hash.slice(hash.indexOf("=") + 1)];
    if (what === "at") {
      const [from, to] = value.split(",").map((s) => parseFloat(s) * SECOND);
      if (!Number.isFinite(from)) return;
      const until = Number.isFinite(to) ? to : from, margin = Math.max((until - from) * 0.5, SECOND / 2);
      show(from - margin, until + margin);
      timeline.scrollIntoView({ block: "start" });
      timeline.focus({ preventScroll: true });
    } else if (what === "hit") {
      const arm = arms.findIndex((a) => a.name === value.slice(0, value.lastIndexOf("/"))), seq = +value.slice(value.lastIndexOf("/") + 1);
      for (let i = 0; i < failures.n; i++) {
        if (failures.arm[i] !== arm || failures.seq[i] !== seq) continue;
        show(failures.at[i] - SECOND / 2, failures.at[i] + SECOND / 2);
        timeline.scrollIntoView({ block: "start" });
        failBox.focus({ preventScroll: true });
        pick(i);
        return;
      }
    }
  }

  // ---- light, dark, paper ---------------------------------------------------------------------------------------------
  const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;

  function paint(theme) { root.dataset.theme = theme; rebuild(); }
  const theme = () => chosen || (prefersDark.matches ? "dark" : "light");

  $("theme").addEventListener("click", () => { chosen = theme() === "dark" ? "light" : "dark"; paint(chosen); });
  prefersDark.addEventListener("change", () => paint(theme()));
  window.matchMedia("print").addEventListener("change", (e) => paint(e.matches ? "light" : theme()));
  window.addEventListener("beforeprint", () => paint("light"));
  window.addEventListener("afterprint", () => paint(theme()));

  // ---- what failed: filter and fold -----------------------------------------------------------------------------------
  function buildFilter() {
    const box = $("filter");
    if (!box) return;
    box.hidden = false;
    const promises = [...document.querySelectorAll(".promise")], verdicts = [...box.querySelectorAll("[data-verdict]")], fold = $("fold");
    let verdict = "all";
    const apply = () => {
      const words = $("search").value.trim().toLowerCase().split(/\s+/).filter(Boolean);
      const matches = (text) => words.every((w) => text.toLowerCase().includes(w));
      let shown = 0;
      for (const p of promises) {
        const groups = [...p.querySelectorAll(":scope > .group")];
        const own = [...p.children].filter((c) => !groups.includes(c)).map((c) => c.textContent).join(" ");
        let any = matches(own);
        for (const g of groups) {
          const hit = matches(own + " " + g.textContent);
          g.hidden = !hit;
          any = any || hit;
        }
        p.hidden = !any || !(verdict === "all" || p.classList.contains(verdict));
        if (!p.hidden) shown++;
        if (words.length && groups.some((g) => !g.hidden)) p.open = true; // what was found is seen
      }
      for (const section of [$("failed"), $("held")]) if (section) section.hidden = promises.length > 0 && !section.querySelector(".promise:not([hidden])");
      $("nothing").hidden = shown > 0;
    };
    $("search").addEventListener("input", apply);
    for (const b of verdicts) b.addEventListener("click", () => {
      verdict = b.dataset.verdict;
      for (const o of verdicts) o.setAttribute("aria-pressed", String(o === b));
      apply();
    });
    fold.addEventListener("click", () => {
      const open = fold.textContent === "unfold all";
      for (const d of document.querySelectorAll(".promise, .group")) d.open = open;
      fold.textContent = open ? "fold all" : "unfold all";
    });
  }

  // Paper has no folds: what failed is printed whole, but for the single findings.
  let folded = [];
  window.addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("#failed .promise, #failed .group")].filter((d) => !d.open);
    for (const d of folded) d.open = true;
  });
  window.addEventListener("afterprint", () => { for (const d of folded) d.open = false; folded = []; });

  root.dataset.theme = theme();
  panels.replaceChildren();
  measure();
  panels.append(el("div", { className: "axis" }, axis));
  buildLanes();
  buildFailures();
  buildCharts();
  buildLedgers();
  buildFolded();
  panels.append(cross, drag);
  buildLegends();
  listen();
  rebuild();
  jump();
  buildFilter();
  root.dataset.drawn = "yes";
})();
