// The latent-space film: one canvas, no library. Called as (film)(data, script, shared) by dclib.film.LatentFilm.
(async function film(data, script, shared) {
  "use strict";
  const { make, fit, follow } = shared;
  const root = script ? script.closest(".dclib-film") : document.querySelector(`#film-${data.id}:not([data-ready])`);
  if (!root || "ready" in root.dataset) return;
  root.dataset.ready = "";

  // ---- Decode: every frame is the change from the one before, in 8 bits times a step of its own.
  const n = data.n, count = data.frames.length, last = count - 1, NONE = 255;
  const packed = Uint8Array.from(atob(data.blob), c => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const moves = new Int8Array(bytes.buffer, 0, count * 2 * n);
  const place = new Float64Array(count * 2 * n), group = new Uint8Array(count * n);
  for (let i = 0; i < place.length; i++)
    place[i] = (i < 2 * n ? 0 : place[i - 2 * n]) + data.frames[Math.floor(i / (2 * n))].step * moves[i];
  for (let i = 0; i < group.length; i++) group[i] = (i < n ? 0 : group[i - n]) + bytes[count * 2 * n + i];
  const truth = data.classes ? bytes.subarray(count * 3 * n, count * 3 * n + n) : null;
  const sheet = new Image();
  if (data.sprite) { sheet.onload = () => hover >= 0 && fillCard(); sheet.src = data.sprite.src; }

  // ---- Elements
  const SVG = "http://www.w3.org/2000/svg";
  const picture = (parent, box, path) => {
    const svg = parent.appendChild(document.createElementNS(SVG, "svg"));
    svg.setAttribute("viewBox", box);
    svg.setAttribute("aria-hidden", "true");
    const shape = svg.appendChild(document.createElementNS(SVG, "path"));
    shape.setAttribute("d", path);
    return shape;
  };
  root.querySelector(".film-wait")?.remove();
  const caption = make("div", root, { className: "film-caption" });
  const stage = make("div", root, { className: "film-stage" });
  const canvas = make("canvas", stage, { tabIndex: 0 }, { role: "img" });
  const card = make("div", stage, { className: "film-card", hidden: true }, { role: "status" });
  const thumb = data.sprite ? make("canvas", card) : null;
  const cardTitle = make("b", card), cardText = make("span", card), cardIndex = make("span", card);
  const bar = make("div", root, { className: "film-bar" });
  const play = make("button", bar, { type: "button", className: "film-play" }, { "aria-label": "Play" });
  const icon = picture(play, "0 0 18 18", "");
  const track = make("div", bar, { className: "film-track" });
  const slider = make("input", track, { type: "range" }, { min: 0, max: last, step: 1, "aria-label": "Frame of the film" });
  const phaseBar = make("div", track, { className: "film-phases" }, { "aria-hidden": "true" });
  const speed = make("select", bar, {}, { "aria-label": "Speed" });
  for (const s of [0.5, 1, 2]) make("option", speed, { value: s, textContent: s + "×", selected: s === 1 });
  const legend = make("div", root, { className: "film-legend" });
  const phases = [];
  data.frames.forEach((frame, f) => {
    if (f === 0 || frame.phase !== data.frames[f - 1].phase) phases.push({ name: frame.phase, from: f, size: 0 });
    phases[phases.length - 1].size++;
  });
  if (phases.length > 1 || phases[0].name)
    for (const p of phases) p.node = make("span", phaseBar, { textContent: p.name, title: p.name, style: `flex-grow:${p.size}` });

  // ---- State
  const pen = canvas.getContext("2d");
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const shapes = ["M1 0A1 1 0 1 1-1 0A1 1 0 1 1 1 0Z", "M-.9-.9H.9V.9H-.9Z", "M0-1.15L1.1 .85H-1.1Z", "M0-1.25L1.15 0L0 1.25L-1.15 0Z"];
  const marks = shapes.map(path => new Path2D(path));
  const colour = k => data.palette[k % data.palette.length];
  const shapeOf = k => Math.floor(k / data.palette.length) % shapes.length;
  let time = last, playing = false, stamp = 0, hover = -1, chosen = -1, shown = -1, mode = "now";
  let width = 0, height = 0;
  const theme = follow(root, () => { card.style.background = theme.paper; refresh(); });
  const X = new Float64Array(n), Y = new Float64Array(n);

  const modes = [["now", "cluster"]];
  if (data.first > 0 && data.first <= last) modes.push(["end", "final cluster"]);
  if (truth) modes.push(["true", "true class"]);
  const groupOf = (i, f) => mode === "true" ? truth[i] : group[(mode === "end" ? last : f) * n + i];
  const nameOf = k => mode === "true" ? data.classes[k] : String(k);
  const noun = () => mode === "true" ? "class" : "cluster";

  // ---- Drawing
  function locate() {
    const f = still.matches ? Math.round(time) : Math.floor(time), g = Math.min(f + 1, last), a = still.matches ? 0 : time - f;
    const scale = width / 2.4, from = f * 2 * n, to = g * 2 * n;
    for (let i = 0; i < n; i++) {
      X[i] = width / 2 + scale * ((1 - a) * place[from + i] + a * place[to + i]);
      Y[i] = height / 2 - scale * ((1 - a) * place[from + n + i] + a * place[to + n + i]);
    }
    const A = data.frames[f], B = data.frames[g];
    return { f, g, a, half: Math.exp((1 - a) * Math.log(A.half) + a * Math.log(B.half)), scale };
  }
  function dot(i, k, radius, alpha) {
    pen.globalAlpha = alpha;
    pen.setTransform(radius * ratio(), 0, 0, radius * ratio(), X[i] * ratio(), Y[i] * ratio());
    pen.fillStyle = k === NONE ? "#8a8a8a" : colour(k);
    pen.fill(marks[k === NONE ? 0 : shapeOf(k)]);
    pen.lineWidth = 0.22;
    pen.globalAlpha = 0.45 * alpha;
    pen.stroke(marks[k === NONE ? 0 : shapeOf(k)]);
  }
  const ratio = () => canvas.width / width;
  function badges(f) {
    const sums = new Map();
    for (let i = 0; i < n; i++) {
      const k = groupOf(i, f);
      if (k === NONE) continue;
      const s = sums.get(k) || sums.set(k, { k, x: 0, y: 0, size: 0 }).get(k);
      s.x += X[i]; s.y += Y[i]; s.size++;
    }
    const list = [...sums.values()].sort((a, b) => a.k - b.k);
    for (const s of list) { s.x /= s.size; s.y /= s.size; s.w = pen.measureText(nameOf(s.k)).width + 11; }
    for (let round = 0; round < 30; round++)                     // push overlapping numbers apart
      for (const a of list) for (const b of list) {
        if (a.k >= b.k) continue;
        const gapX = (a.w + b.w) / 2 + 3, gapY = 22, dx = b.x - a.x || 0.01, dy = b.y - a.y || 0.01;
        const over = 1 - Math.max(Math.abs(dx) / gapX, Math.abs(dy) / gapY);
        if (over <= 0) continue;
        const length = Math.hypot(dx, dy), push = over * 5;
        a.x -= push * dx / length; a.y -= push * dy / length; b.x += push * dx / length; b.y += push * dy / length;
      }
    return list;
  }
  function drawBadges(f) {
    pen.font = "700 12px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    for (const b of badges(f)) {
      const x = Math.min(Math.max(b.x, b.w / 2 + 3), width - b.w / 2 - 3), y = Math.min(Math.max(b.y, 12), height - 12);
      pen.globalAlpha = chosen >= 0 && chosen !== b.k ? 0.25 : 1;
      pen.beginPath();
      pen.roundRect(x - Math.max(b.w, 19) / 2, y - 9.5, Math.max(b.w, 19), 19, 9.5);
      pen.fillStyle = theme.paper; pen.fill();
      pen.lineWidth = 2.5; pen.strokeStyle = colour(b.k); pen.stroke();
      pen.fillStyle = theme.ink; pen.fillText(nameOf(b.k), x, y + 0.5);
    }
  }
  function drawCentroids(now) {
    const A = data.frames[now.f].centroids, B = data.frames[now.g].centroids || A;
    if (!A || mode === "true") return;
    A.forEach((c, k) => {
      const x = width / 2 + now.scale * ((1 - now.a) * c[0] + now.a * B[k][0]), y = height / 2 - now.scale * ((1 - now.a) * c[1] + now.a * B[k][1]);
      for (const [line, style] of [[5, theme.paper], [2.2, theme.ink]]) {
        pen.globalAlpha = chosen >= 0 && chosen !== k ? 0.15 : 0.9;
        pen.lineWidth = line; pen.strokeStyle = style; pen.lineCap = "round";
        pen.beginPath(); pen.moveTo(x - 4, y - 4); pen.lineTo(x + 4, y + 4); pen.moveTo(x - 4, y + 4); pen.lineTo(x + 4, y - 4); pen.stroke();
      }
    });
  }
  function drawTrail(now) {
    pen.beginPath();
    for (let f = 0; f <= now.f; f++)
      pen.lineTo(width / 2 + now.scale * place[f * 2 * n + hover], height / 2 - now.scale * place[f * 2 * n + n + hover]);
    pen.lineTo(X[hover], Y[hover]);
    pen.globalAlpha = 0.65; pen.lineWidth = 1.5; pen.lineJoin = "round"; pen.strokeStyle = theme.ink; pen.stroke();
  }
  function drawScale(now) {
    const unit = now.scale / now.half, power = 10 ** Math.floor(Math.log10(90 / unit));
    const size = [5, 2, 1].map(m => m * power).find(s => s * unit <= 90), x = width - 12, y = height - 12;
    pen.globalAlpha = 0.8; pen.lineWidth = 1.5; pen.strokeStyle = pen.fillStyle = theme.ink; pen.lineCap = "butt";
    pen.beginPath(); pen.moveTo(x - size * unit, y - 4); pen.lineTo(x - size * unit, y); pen.lineTo(x, y); pen.lineTo(x, y - 4); pen.stroke();
    pen.font = "12px system-ui, sans-serif"; pen.textAlign = "center"; pen.textBaseline = "bottom";
    pen.fillText(String(+size.toPrecision(1)), x - size * unit / 2, y - 3);
  }
  function draw() {
    if (!width) return;
    const now = locate(), f = Math.round(time), radius = Math.max(2.3, width / 200);
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.strokeStyle = theme.ink;
    for (const front of chosen >= 0 ? [false, true] : [true])
      for (let i = 0; i < n; i++) {
        const k = groupOf(i, f);
        if (chosen >= 0 && (k === chosen) !== front) continue;
        dot(i, k, radius, front ? 0.88 : 0.12);
      }
    pen.setTransform(ratio(), 0, 0, ratio(), 0, 0);
    drawCentroids(now);
    drawBadges(f);
    drawScale(now);
    if (hover >= 0) {
      drawTrail(now);
      dot(hover, groupOf(hover, f), radius * 1.8, 1);
      pen.setTransform(ratio(), 0, 0, ratio(), 0, 0);
      pen.globalAlpha = 1; pen.lineWidth = 2; pen.strokeStyle = theme.ink;
      pen.beginPath(); pen.arc(X[hover], Y[hover], radius * 1.8 + 2.5, 0, 7); pen.stroke();
      placeCard();
    }
    pen.globalAlpha = 1;
    if (f !== shown) announce(f);
  }
  let queued = false;
  const refresh = () => { if (!queued) { queued = true; requestAnimationFrame(() => { queued = false; draw(); }); } };

  function announce(f) {
    shown = f;
    const text = data.frames[f].caption;
    const words = (text || `frame ${f + 1} of ${count}`).split(" · ");
    caption.textContent = "";
    make("b", caption, { textContent: words.slice(0, 2).join(" · ") });
    if (words.length > 2) make("span", caption, { textContent: " · " + words.slice(2).join(" · ") });
    slider.value = f;
    slider.style.setProperty("--at", 100 * f / Math.max(last, 1) + "%");
    slider.setAttribute("aria-valuetext", caption.textContent);
    canvas.setAttribute("aria-label", `Map of ${n} codes, ${caption.textContent}. Arrow keys step through the points.`);
    for (const p of phases) p.node?.classList.toggle("now", f >= p.from && f < p.from + p.size);
    countChips(f);
    if (hover >= 0) fillCard();
  }

  // ---- Legend
  let chips = [];
  function countChips(f) {
    const sizes = new Map();
    for (let i = 0; i < n; i++) sizes.set(groupOf(i, f), (sizes.get(groupOf(i, f)) || 0) + 1);
    for (const chip of chips) {
      const size = sizes.get(chip.k) || 0;
      chip.size.dataset.size = size;   // shown by the style: the label below says it in words
      chip.node.classList.toggle("gone", !size);
      chip.node.setAttribute("aria-label", `${noun()} ${nameOf(chip.k)}, ${size} points`);
    }
  }
  function buildLegend() {
    legend.textContent = "";
    chips = [];
    if (modes.length > 1) {
      const row = make("div", legend, { className: "film-modes" }, { role: "group", "aria-label": "Colour by" });
      make("span", row, { textContent: "Colour by" });
      for (const [value, text] of modes) {
        const button = make("button", row, { type: "button", textContent: text }, { "aria-pressed": mode === value, "data-mode": value });
        button.onclick = () => { mode = value; chosen = -1; buildLegend(); legend.querySelector(`[data-mode="${value}"]`).focus(); draw(); if (hover >= 0) fillCard(); };
      }
    }
    const total = mode === "true" ? data.classes.length : data.clusters;
    for (let k = 0; k < total; k++) {
      const node = make("button", legend, { type: "button", className: "film-chip" }, { "aria-pressed": chosen === k });
      const shape = picture(node, "-1.3 -1.3 2.6 2.6", shapes[shapeOf(k)]);
      shape.setAttribute("fill", colour(k));
      shape.setAttribute("stroke", "currentColor");
      shape.setAttribute("stroke-width", 0.15);
      make("span", node, { textContent: nameOf(k) });
      chips.push({ k, node, size: make("small", node) });
      node.onclick = () => {
        chosen = chosen === k ? -1 : k;
        for (const chip of chips) chip.node.setAttribute("aria-pressed", chip.k === chosen);
        refresh();
      };
    }
    if (mode !== "true" && data.frames.some(frame => frame.centroids)) make("span", legend, { textContent: "× centroid", className: "film-note" });
    countChips(Math.max(shown, 0));
  }

  // ---- The card of the point under the pointer
  function fillCard() {
    const f = Math.round(time), k = group[f * n + hover];
    if (thumb) {
      const { w, h, columns, show } = data.sprite;
      thumb.width = w; thumb.height = h;
      thumb.style.width = show[0] + "px"; thumb.style.height = show[1] + "px";
      if (sheet.complete) thumb.getContext("2d").drawImage(sheet, hover % columns * w, Math.floor(hover / columns) * h, w, h, 0, 0, w, h);
    }
    cardTitle.textContent = k === NONE ? "no cluster yet" : `cluster ${k}`;
    cardText.textContent = truth ? `class ${data.classes[truth[hover]]}` : "";
    cardText.hidden = !truth;
    cardIndex.textContent = `point ${data.index[hover]}`;
  }
  function placeCard() {
    const w = card.offsetWidth, h = card.offsetHeight, x = X[hover], y = Y[hover];
    const left = x + 16 + w < width ? x + 16 : x - 16 - w;
    card.style.left = Math.max(4, Math.min(left, width - w - 4)) + "px";
    card.style.top = Math.max(4, Math.min(y - h / 2, height - h - 4)) + "px";
  }
  function point(i) {
    hover = i;
    card.hidden = i < 0;
    if (i >= 0) fillCard();
    refresh();
  }
  function nearest(x, y, reach, keep = () => true) {
    let best = -1, far = reach * reach;
    for (let i = 0; i < n; i++) {
      const d = (X[i] - x) ** 2 + (Y[i] - y) ** 2;
      if (d < far && keep(i)) { far = d; best = i; }
    }
    return best;
  }
  const track_pointer = e => {
    const box = canvas.getBoundingClientRect();
    const i = nearest(e.clientX - box.left, e.clientY - box.top, e.pointerType === "touch" ? 26 : 14);
    if (i !== hover) point(i);
  };
  canvas.addEventListener("pointermove", track_pointer);
  canvas.addEventListener("pointerdown", track_pointer);
  canvas.addEventListener("pointerleave", e => { if (e.pointerType !== "touch") point(-1); });
  canvas.addEventListener("blur", () => point(-1));
  canvas.addEventListener("keydown", e => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key];
    if (e.key === "Escape") return point(-1);
    if (e.key === " ") { e.preventDefault(); return toggle(); }
    if (!way) return;
    e.preventDefault();
    e.stopPropagation();
    if (hover < 0) return point(nearest(width / 2, height / 2, 1e4));
    const x = X[hover], y = Y[hover];
    const i = nearest(x, y, 1e4, j => { const a = (X[j] - x) * way[0] + (Y[j] - y) * way[1]; return a > 0.5 && 2 * a * a > (X[j] - x) ** 2 + (Y[j] - y) ** 2; });
    if (i >= 0) point(i);
  });

  // ---- Play and scrub: nothing moves until the reader asks
  const rate = Math.min(8, Math.max(2.5, last / 8));
  function toggle(on = !playing) {
    playing = on;
    play.setAttribute("aria-label", on ? "Pause" : "Play");
    icon.setAttribute("d", on ? "M4 2h4v14H4zM10 2h4v14h-4z" : "M5 2l11 7-11 7z");
    if (!on) return;
    if (time >= last) time = 0;
    stamp = performance.now();
    requestAnimationFrame(tick);
  }
  function tick(now) {
    if (!playing || !root.isConnected) return;
    time = Math.min(last, time + Math.min(Math.max(now - stamp, 0), 200) / 1000 * rate * speed.value);
    stamp = now;
    draw();
    time >= last ? toggle(false) : requestAnimationFrame(tick);
  }
  play.onclick = () => toggle();
  slider.oninput = () => { toggle(false); time = +slider.value; draw(); };
  for (const node of [play, slider, speed]) node.addEventListener("keydown", e => e.stopPropagation());   // hosts have shortcuts

  // ---- Follow the size of the page and its theme
  toggle(false);
  slider.disabled = play.disabled = last < 1;
  theme.read();
  buildLegend();
  fit(canvas, (w, h) => { [width, height] = [w, h]; draw(); });
})
