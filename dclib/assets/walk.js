// A plane of drawn images to walk with pointer or keys: two canvases, no library. Called as (walk)(data, script, shared) by dclib.drawings.latent_walk.
(function walk(data, script, shared) {
  "use strict";
  const { make, follow } = shared;
  const root = script ? script.closest(".dclib-walk") : document.querySelector(`#walk-${data.id}:not([data-ready])`);
  if (!root || "ready" in root.dataset) return;
  root.dataset.ready = "";
  const { n, m } = data, { w, h, columns } = data.sprite, GAP = 1;
  const sheet = new Image();

  // ---- Elements
  root.querySelector(".walk-wait")?.remove();
  const choices = data.choices ? make("div", root, { className: "walk-choices" }, { role: "group", "aria-label": "Plane" }) : null;
  const desk = make("div", root, { className: "walk-desk" });
  const left = make("figure", desk, { className: "walk-plane" });
  const stage = make("div", left, { className: "walk-stage" });
  const plane = make("canvas", stage, { tabIndex: 0, width: n * (w + GAP), height: m * (h + GAP) }, { role: "slider", "aria-valuemin": 1, "aria-valuemax": n * m,
    "aria-label": `Plane of ${n} by ${m} drawn images. Drag, or walk with the arrow keys.` });
  const mark = make("div", stage, { className: "walk-mark" }, { "aria-hidden": "true" });
  make("figcaption", left, { textContent: `Drag over the plane, or use the arrow keys. To the right: ${data.axes[0]}. Upwards: ${data.axes[1]}.` });
  const right = make("figure", desk, { className: "walk-place" });
  const large = make("canvas", right, { width: w, height: h }, { role: "img" });
  const words = make("figcaption", right, { className: "walk-words" });

  // ---- State: a place (i to the right, j upwards) of a plane
  let i = n >> 1, j = m >> 1, chosen = 0;
  const value = (axis, at, count) => { const [low, high] = data.ranges[axis]; return low + (high - low) * (count > 1 ? at / (count - 1) : 0.5); };
  const indexOf = (a, b) => (chosen * n + a) * m + b;
  const paint = (pen, index, x, y) => pen.drawImage(sheet, index % columns * w, Math.floor(index / columns) * h, w, h, x, y, w, h);
  function draw() {
    const text = [value(0, i, n), value(1, j, m)].map(v => v.toFixed(2).replace("-", "−"));
    words.textContent = `${data.axes[0]} ${text[0]}, ${data.axes[1]} ${text[1]}`;
    const what = (data.choices ? data.choices[chosen] + ", " : "") + words.textContent;
    large.setAttribute("aria-label", `The image drawn at ${what}`);
    plane.setAttribute("aria-valuenow", j * n + i + 1);
    plane.setAttribute("aria-valuetext", what);
    root.dataset.place = [chosen, i, j].join(" ");
    Object.assign(mark.style, { left: 100 * i / n + "%", top: 100 * (m - 1 - j) / m + "%", width: 100 / n + "%", height: 100 / m + "%" });
    if (sheet.complete && sheet.naturalWidth) paint(large.getContext("2d"), indexOf(i, j), 0, 0);
  }
  function lay() {
    const pen = plane.getContext("2d");
    if (sheet.complete && sheet.naturalWidth)
      for (let a = 0; a < n; a++) for (let b = 0; b < m; b++) paint(pen, indexOf(a, b), a * (w + GAP), (m - 1 - b) * (h + GAP));
    draw();
  }
  const within = (at, count) => Math.min(count - 1, Math.max(0, at));
  function go(a, b) { i = within(a, n); j = within(b, m); draw(); }

  // ---- Pointer and keys
  const point = e => {
    const box = plane.getBoundingClientRect();
    go(Math.floor((e.clientX - box.left) / box.width * n), m - 1 - Math.floor((e.clientY - box.top) / box.height * m));
  };
  plane.addEventListener("pointerdown", e => { plane.setPointerCapture(e.pointerId); plane.focus({ preventScroll: true }); point(e); });
  plane.addEventListener("pointermove", e => { if (e.buttons) point(e); });
  plane.addEventListener("keydown", e => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[e.key];
    if (!way) return;
    e.preventDefault();
    e.stopPropagation();                                                // hosts have shortcuts
    go(i + way[0], j + way[1]);
  });
  if (choices) data.choices.forEach((name, c) => {
    const button = make("button", choices, { type: "button", textContent: name }, { "aria-pressed": c === 0 });
    button.onclick = () => {
      chosen = c;
      [...choices.children].forEach((node, other) => node.setAttribute("aria-pressed", other === c));
      lay();
    };
  });
  sheet.onload = lay;
  sheet.src = data.sprite.src;
  follow(root, () => {}).read();
  lay();
})
