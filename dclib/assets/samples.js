// A film of drawn points, a row a cluster: one canvas, no library. Called as (samples)(data, script, shared) by dclib.drawings.SampleFilm.
(function samples(data, script, shared) {
  "use strict";
  const { make, follow } = shared;
  const root = script ? script.closest(".dclib-samples") : document.querySelector(`#samples-${data.id}:not([data-ready])`);
  if (!root || "ready" in root.dataset) return;
  root.dataset.ready = "";
  const last = data.captions.length - 1, { w, h, columns } = data.sprite, each = data.rows * data.across;
  const sheet = new Image();

  // ---- Elements
  root.querySelector(".samples-wait")?.remove();
  const caption = make("div", root, { className: "samples-caption" });
  const canvas = make("canvas", root, {}, { role: "img" });
  const bar = make("div", root, { className: "samples-bar" });
  const play = make("button", bar, { type: "button" }, { "aria-label": "Play" });
  const svg = play.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "svg"));
  svg.setAttribute("viewBox", "0 0 18 18");
  svg.setAttribute("aria-hidden", "true");
  const icon = svg.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "path"));
  const slider = make("input", bar, { type: "range" }, { min: 0, max: last, step: 1, "aria-label": "Frame of the film" });

  // ---- Drawing: a gap between images, a coloured bar before each row
  const GAP = 1, BAR = 2, pen = canvas.getContext("2d");
  canvas.width = BAR + GAP + data.across * (w + GAP);
  canvas.height = data.rows * (h + GAP) - GAP;
  let frame = last, playing = false, stamp = 0;
  function draw() {
    caption.textContent = data.captions[frame] || `frame ${frame + 1} of ${last + 1}`;
    slider.value = frame;
    slider.setAttribute("aria-valuetext", caption.textContent);
    canvas.setAttribute("aria-label", `${data.rows} rows of ${data.across} drawn images, ${caption.textContent}`);
    root.dataset.frame = frame;
    if (!sheet.complete || !sheet.naturalWidth) return;
    pen.clearRect(0, 0, canvas.width, canvas.height);
    for (let row = 0; row < data.rows; row++) {
      pen.fillStyle = data.palette[row % data.palette.length];
      pen.fillRect(0, row * (h + GAP), BAR, h);
      for (let column = 0; column < data.across; column++) {
        const i = frame * each + row * data.across + column;
        pen.drawImage(sheet, i % columns * w, Math.floor(i / columns) * h, w, h, BAR + GAP + column * (w + GAP), row * (h + GAP), w, h);
      }
    }
  }

  // ---- Play and scrub: nothing moves until the reader asks
  const RATE = 3;                                                       // frames a second
  function toggle(on = !playing) {
    playing = on;
    play.setAttribute("aria-label", on ? "Pause" : "Play");
    icon.setAttribute("d", on ? "M4 2h4v14H4zM10 2h4v14h-4z" : "M5 2l11 7-11 7z");
    if (!on) return;
    if (frame >= last) frame = 0;
    draw();
    stamp = performance.now();
    requestAnimationFrame(tick);
  }
  function tick(now) {
    if (!playing || !root.isConnected) return;
    if (now - stamp > 1000 / RATE) { frame = Math.min(last, frame + 1); stamp = now; draw(); }
    frame >= last ? toggle(false) : requestAnimationFrame(tick);
  }
  play.onclick = () => toggle();
  slider.oninput = () => { toggle(false); frame = +slider.value; draw(); };
  for (const node of [play, slider]) node.addEventListener("keydown", e => e.stopPropagation());   // hosts have shortcuts
  slider.disabled = play.disabled = last < 1;
  sheet.onload = draw;
  sheet.src = data.sprite.src;
  follow(root, draw).read();
  toggle(false);
  draw();
})
