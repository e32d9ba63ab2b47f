// Draw a digit: the encoder, run in the browser on what the reader draws. Called as (sketch)(data, script, shared) by dclib.sketch.
(async function sketch(data, script, shared) {
  "use strict";
  const { make, fit, follow } = shared;
  const root = script ? script.closest(".dclib-sketch") : document.querySelector(`#sketch-${data.id}:not([data-ready])`);
  if (!root || "ready" in root.dataset) return;
  root.dataset.ready = "";

  // ---- Decode: weights in 8 bits times a step of their row; then floats, in the order in which they are taken
  const bytesOf = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
  const stream = new Blob([bytesOf(data.weights)]).stream().pipeThrough(new DecompressionStream("deflate"));
  const weights = new Int8Array(await new Response(stream).arrayBuffer());
  const floats = new Float32Array(bytesOf(data.floats).buffer), groups = bytesOf(data.groups);
  let at = 0;
  const take = size => floats.subarray(at, at += size);
  const K = data.clusters, n = data.n, widths = data.widths, d = widths[widths.length - 1], [rows, columns] = data.shape;
  const layers = [];
  for (let l = 1, from = 0; l < widths.length; from += widths[l] * widths[l - 1], l++)
    layers.push({ from, inputs: widths[l - 1], outputs: widths[l], step: take(widths[l]), bias: take(widths[l]) });
  const centroids = take(K * d), codes = take(n * d), flat = take(n * 2);

  function encode(x) {                                                     // z = f(x), a ReLU between each two layers
    layers.forEach(({ from, inputs, outputs, step, bias }, l) => {
      const y = new Float64Array(outputs);
      for (let o = 0; o < outputs; o++) {
        let sum = 0;
        for (let i = 0, w = from + o * inputs; i < inputs; i++, w++) sum += weights[w] * x[i];
        y[o] = sum * step[o] + bias[o];
        if (l < layers.length - 1 && y[o] < 0) y[o] = 0;
      }
      x = y;
    });
    return x;
  }
  const square = (z, table, j) => { let sum = 0; for (let a = 0; a < d; a++) sum += (z[a] - table[j * d + a]) ** 2; return sum; };
  function soft(z) {                                                       // q of DEC's equation 1
    const q = Array.from({ length: K }, (_, j) => (1 + square(z, centroids, j) / data.alpha) ** (-(data.alpha + 1) / 2));
    const sum = q.reduce((a, b) => a + b);
    return q.map(value => value / sum);
  }
  const places = Array.from({ length: n }, (_, i) => [flat[2 * i], flat[2 * i + 1]]);
  function place(z, nearest) {                                             // the mean of its neighbours' places, the near ones first
    const weight = nearest.map(i => 1 / (square(z, codes, i) + 1e-9)), sum = weight.reduce((a, b) => a + b);
    return [0, 1].map(c => nearest.reduce((mean, i, r) => mean + weight[r] * places[i][c] / sum, 0));
  }

  // ---- Elements
  root.querySelector(".sketch-wait")?.remove();
  const desk = make("div", root, { className: "sketch-desk" });
  const left = make("div", desk, { className: "sketch-left" });
  const frame = make("div", left, { className: "sketch-frame" });
  const SIDE = 280, CELL = SIDE / 28;
  const pad = make("canvas", frame, { width: SIDE, height: SIDE, tabIndex: 0, className: "sketch-pad" }, { role: "application",
    "aria-label": "Drawing area. Arrow keys move the pen, Space puts it down or lifts it, Delete clears." });
  const hint = make("span", frame, { className: "sketch-hint", textContent: "Draw a digit here" }, { "aria-hidden": "true" });
  const buttons = make("div", left, { className: "sketch-buttons" });
  const clearButton = make("button", buttons, { type: "button", textContent: "Clear" });
  const takeButton = make("button", buttons, { type: "button", textContent: "Take a training digit" });
  const seen = make("figure", left, { className: "sketch-seen" });
  const thumb = make("canvas", seen, { width: columns, height: rows }, { role: "img", "aria-label": "The drawing as the network gets it" });
  make("figcaption", seen, { textContent: `What the network gets: ${rows} × ${columns} pixels, sized and centred as the training digits are` });
  const right = make("figure", desk, { className: "sketch-right" });
  const map = make("canvas", right, { className: "sketch-map" }, { role: "img" });
  make("figcaption", right, { textContent: `t-SNE of the codes of ${n.toLocaleString("en")} training digits, coloured by cluster. A drawing is placed between its five nearest.` });
  const status = make("p", root, { className: "sketch-status" }, { role: "status" });
  const bars = make("ul", root, { className: "sketch-bars" }, { "aria-label": "Soft assignment to each cluster" });
  const rowsOfBars = Array.from({ length: K }, (_, j) => {
    const item = make("li", bars), name = make("span", item, { textContent: j });
    const bar = make("i", item, {}, { "aria-hidden": "true" }), value = make("b", item);
    bar.style.setProperty("--hue", data.palette[j % data.palette.length]);
    name.title = `cluster ${j}`;
    return { item, bar, value };
  });
  const near = make("figure", root, { className: "sketch-near" });
  make("figcaption", near, { textContent: `The nearest of the ${n.toLocaleString("en")} training digits on the map, by their codes` });
  const nearRow = make("div", near);
  const sheet = new Image();

  // ---- State
  const pen = pad.getContext("2d", { willReadFrequently: true });
  const paint = Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE });   // ink alone, without the cursor
  const ink = paint.getContext("2d", { willReadFrequently: true });
  const colour = k => data.palette[k % data.palette.length];
  let cursor = { x: SIDE / 2, y: SIDE / 2, down: false, shown: false }, drawing = null, found = null, width = 0, height = 0, next = 0;
  const theme = follow(root, () => refresh());

  // ---- From ink to an image, as the training digits were made: size by the longer side, centre by the mass
  function image() {
    const alpha = ink.getImageData(0, 0, SIDE, SIDE).data, x = new Float64Array(rows * columns);
    let low = [SIDE, SIDE], high = [-1, -1], mass = 0, middle = [0, 0];
    for (let v = 0; v < SIDE; v++) for (let u = 0; u < SIDE; u++) {
      const a = alpha[4 * (v * SIDE + u) + 3];
      if (!a) continue;
      low = [Math.min(low[0], u), Math.min(low[1], v)]; high = [Math.max(high[0], u), Math.max(high[1], v)];
      mass += a; middle[0] += a * (u + 0.5); middle[1] += a * (v + 0.5);
    }
    if (!mass) return null;
    const longer = Math.max(high[0] - low[0], high[1] - low[1]) + 1, unit = longer / (rows * data.fill);   // source per pixel
    const fine = Math.max(1, Math.ceil(unit));
    for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) {
      let sum = 0;
      for (let a = 0; a < fine; a++) for (let b = 0; b < fine; b++) {
        const u = Math.floor((c - columns / 2 + (b + 0.5) / fine) * unit + middle[0] / mass);
        const v = Math.floor((r - rows / 2 + (a + 0.5) / fine) * unit + middle[1] / mass);
        if (u >= 0 && v >= 0 && u < SIDE && v < SIDE) sum += alpha[4 * (v * SIDE + u) + 3];
      }
      x[r * columns + c] = sum / fine / fine / 255;
    }
    return x;
  }

  // ---- Answer: code, clusters, neighbours
  function answer(x = image()) {
    hint.hidden = !!x;
    found = null;
    if (x) {
      const z = encode(x), q = soft(z), order = q.map((_, j) => j).sort((a, b) => q[b] - q[a]);
      const nearest = Array.from({ length: n }, (_, i) => i).sort((a, b) => square(z, codes, a) - square(z, codes, b)).slice(0, 8);
      found = { x, z, q, order, nearest, place: place(z, nearest.slice(0, 5)) };
    }
    tell();
    refresh();
  }
  const round = value => value.toFixed(2);
  function tell() {
    const first = found?.order[0], second = found?.order[1];
    status.textContent = !found ? "Draw with mouse, finger or keys, or take a training digit. Nothing leaves this page."
      : `Cluster ${first} claims it with q = ${round(found.q[first])}. Next is cluster ${second} with ${round(found.q[second])}.`;
    rowsOfBars.forEach(({ item, bar, value }, j) => {
      bar.style.setProperty("--q", found ? found.q[j] : 0);
      value.textContent = found ? round(found.q[j]) : "–";
      item.classList.toggle("first", j === first);
    });
    map.setAttribute("aria-label", `Map of ${n} training digits by code and cluster` + (found ? `; the drawing lies among cluster ${first}` : ""));
    root.dataset.cluster = found ? first : "";
    near.hidden = seen.hidden = !found;
    if (!found) return;
    const grey = thumb.getContext("2d"), picture = grey.createImageData(columns, rows);
    found.x.forEach((value, p) => picture.data.set([255 * value, 255 * value, 255 * value, 255], 4 * p));
    grey.putImageData(picture, 0, 0);
    nearRow.textContent = "";
    for (const i of found.nearest) {
      const box = make("span", nearRow);
      const small = make("canvas", box, { width: data.sprite.w, height: data.sprite.h }, { role: "img", "aria-label": `Training digit of cluster ${groups[i]}` });
      const { w, h, columns: across } = data.sprite;
      if (sheet.complete) small.getContext("2d").drawImage(sheet, i % across * w, Math.floor(i / across) * h, w, h, 0, 0, w, h);
      make("small", box, { textContent: groups[i] });
    }
  }

  // ---- Drawing
  function redrawPad() {
    pen.clearRect(0, 0, SIDE, SIDE);
    pen.drawImage(paint, 0, 0);
    if (!cursor.shown) return;
    for (const [line, style] of [[4, "#fff"], [2, cursor.down ? "#bd1f01" : "#1b63a5"]]) {
      pen.lineWidth = line; pen.strokeStyle = style;
      pen.beginPath(); pen.arc(cursor.x, cursor.y, 13, 0, 7); pen.stroke();
    }
  }
  function redrawMap() {
    if (!width) return;
    const g = map.getContext("2d"), ratio = map.width / width;
    const shown = found ? [...places, found.place] : places, scale = [0, 1].map(c => {
      const values = shown.map(p => p[c]), low = Math.min(...values), high = Math.max(...values);
      return { low, size: Math.max(high - low, 1e-9) };
    });
    const X = p => 14 + (width - 28) * (p[0] - scale[0].low) / scale[0].size, Y = p => height - 14 - (height - 28) * (p[1] - scale[1].low) / scale[1].size;
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, width, height);
    const sums = new Map();
    places.forEach((p, i) => {
      g.globalAlpha = found && groups[i] !== found.order[0] ? 0.35 : 0.85;
      g.fillStyle = colour(groups[i]);
      g.beginPath(); g.arc(X(p), Y(p), Math.max(2, width / 190), 0, 7); g.fill();
      const s = sums.get(groups[i]) || sums.set(groups[i], [0, 0, 0]).get(groups[i]);
      s[0] += X(p); s[1] += Y(p); s[2]++;
    });
    g.globalAlpha = 1; g.font = "600 13px system-ui, sans-serif"; g.textAlign = "center"; g.textBaseline = "middle";
    for (const [k, [x, y, size]] of sums) {
      g.lineWidth = 4; g.lineJoin = "round"; g.strokeStyle = theme.paper; g.fillStyle = theme.ink;
      g.strokeText(k, x / size, y / size); g.fillText(k, x / size, y / size);
    }
    if (!found) return;
    for (const i of found.nearest) {
      g.globalAlpha = 0.7; g.lineWidth = 1.2; g.strokeStyle = theme.ink;
      g.beginPath(); g.moveTo(X(found.place), Y(found.place)); g.lineTo(X(places[i]), Y(places[i])); g.stroke();
    }
    g.globalAlpha = 1;
    for (const [line, style] of [[7, theme.paper], [3, theme.ink]]) {
      g.lineWidth = line; g.strokeStyle = style;
      g.beginPath(); g.arc(X(found.place), Y(found.place), 9, 0, 7); g.stroke();
    }
  }
  let queued = false;
  function refresh() {
    if (queued) return;
    queued = true;
    requestAnimationFrame(() => { queued = false; redrawPad(); redrawMap(); });
  }
  function stroke(from, to) {
    ink.lineWidth = data.pen * SIDE; ink.lineCap = ink.lineJoin = "round"; ink.strokeStyle = "#111";
    ink.beginPath(); ink.moveTo(from.x, from.y); ink.lineTo(to.x, to.y + 0.01); ink.stroke();
  }
  function clear() {
    ink.clearRect(0, 0, SIDE, SIDE);
    cursor.down = false;
    answer(null);
  }

  // ---- By mouse, pen and finger
  const where = e => { const box = pad.getBoundingClientRect(); return { x: (e.clientX - box.left) * SIDE / box.width, y: (e.clientY - box.top) * SIDE / box.height }; };
  pad.addEventListener("pointerdown", e => {
    if (e.button) return;
    pad.setPointerCapture?.(e.pointerId);
    cursor.shown = false;
    drawing = where(e);
    stroke(drawing, drawing);
    answer();
  });
  pad.addEventListener("pointermove", e => {
    if (!drawing) return;
    for (const part of e.getCoalescedEvents?.().length ? e.getCoalescedEvents() : [e]) {
      const to = where(part);
      stroke(drawing, to);
      drawing = to;
    }
    answer();
  });
  for (const end of ["pointerup", "pointercancel"]) pad.addEventListener(end, () => { drawing = null; });

  // ---- By keys
  pad.addEventListener("focus", () => { cursor.shown = pad.matches(":focus-visible"); refresh(); });
  pad.addEventListener("blur", () => { cursor.shown = cursor.down = false; refresh(); });
  pad.addEventListener("keydown", e => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key];
    e.stopPropagation();                                                   // hosts have shortcuts
    if (way) {
      const from = { x: cursor.x, y: cursor.y }, inside = value => Math.min(SIDE - CELL, Math.max(CELL, value));
      cursor.x = inside(cursor.x + way[0] * CELL); cursor.y = inside(cursor.y + way[1] * CELL);
      if (cursor.down) { stroke(from, cursor); answer(); }
    } else if (e.key === " " || e.key === "Enter") {
      cursor.down = !cursor.down;
      if (cursor.down) { stroke(cursor, cursor); answer(); }
    } else if (["Delete", "Backspace", "Escape"].includes(e.key)) clear();
    else return;
    e.preventDefault();
    cursor.shown = true;
    refresh();
  });
  clearButton.onclick = clear;
  takeButton.onclick = () => {                                             // the image itself, and its picture on the pad
    const { w, h, columns: across } = data.sprite, i = next++ * 37 % n;
    const small = Object.assign(document.createElement("canvas"), { width: w, height: h }).getContext("2d");
    small.drawImage(sheet, i % across * w, Math.floor(i / across) * h, w, h, 0, 0, w, h);
    const grey = small.getImageData(0, 0, w, h), x = new Float64Array(w * h);
    for (let p = 0; p < w * h; p++) {
      x[p] = grey.data[4 * p] / 255;
      grey.data.set([17, 17, 17, 255 * x[p]], 4 * p);
    }
    small.putImageData(grey, 0, 0);
    ink.clearRect(0, 0, SIDE, SIDE);
    ink.drawImage(small.canvas, 0, 0, SIDE, SIDE);
    answer(x);
  };

  sheet.onload = () => tell();
  sheet.src = data.sprite.src;
  theme.read();
  tell();
  fit(map, (w, h) => { [width, height] = [w, h]; refresh(); });
})
