// A map of texts: point at a dot and read it. Called as (hover)(data, script, shared) by dclib.hover.
(function hover(data, script, shared) {
  "use strict";
  const { make, fit, follow } = shared;
  const root = script ? script.closest(".dclib-hover") : document.querySelector(`#hover-${data.id}:not([data-ready])`);
  if (!root || "ready" in root.dataset) return;
  root.dataset.ready = "";
  const bytesOf = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
  const raw = new Uint16Array(bytesOf(data.places).buffer), texts = JSON.parse(new TextDecoder().decode(bytesOf(data.texts)));
  const n = data.n, groups = data.groups, colour = k => data.palette[k % data.palette.length];

  // ---- Elements
  root.querySelector(".hover-wait")?.remove();
  const help = `Map of ${n} texts in ${data.names.length} clusters. Left and right go from text to text of a cluster, up and down from cluster to cluster.`;
  const canvas = make("canvas", root, { tabIndex: 0 }, { role: "application", "aria-label": help });
  const said = make("p", root, { className: "hover-said" }, { role: "status", "aria-live": "polite" });
  const list = make("ul", root, {}, { "aria-label": "Clusters" });
  const buttons = data.names.map((name, k) => {
    const size = groups.filter(g => g === k).length;
    const button = make("button", make("li", list), { type: "button", textContent: `${name} (${size})` }, { "aria-pressed": "false" });
    button.style.setProperty("--hue", colour(k));
    button.onclick = () => { alone = alone === k ? -1 : k; refresh(); };
    return button;
  });
  let at = -1, alone = -1, width = 0, height = 0, queued = false;
  const theme = follow(root, () => refresh());

  // ---- Drawing
  const X = i => 14 + (width - 28) * raw[2 * i] / 65535, Y = i => height - 14 - (height - 28) * raw[2 * i + 1] / 65535;
  function dot(g, i, radius) { g.beginPath(); g.arc(X(i), Y(i), radius, 0, 7); g.fill(); }
  function redraw() {
    buttons.forEach((button, k) => button.setAttribute("aria-pressed", String(alone === k)));
    if (!width) return;
    const g = canvas.getContext("2d"), ratio = canvas.width / width, radius = Math.max(2.5, width / 180);
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, width, height);
    for (let i = 0; i < n; i++) {
      g.globalAlpha = alone >= 0 && groups[i] !== alone ? 0.12 : 0.85;
      g.fillStyle = colour(groups[i]);
      dot(g, i, radius);
    }
    g.globalAlpha = 1;
    if (at < 0) return;
    g.fillStyle = colour(groups[at]);
    dot(g, at, radius + 2);
    for (const [line, style] of [[5, theme.paper], [2.5, theme.ink]]) {
      g.lineWidth = line; g.strokeStyle = style;
      g.beginPath(); g.arc(X(at), Y(at), radius + 4, 0, 7); g.stroke();
    }
  }
  function refresh() {
    if (queued) return;
    queued = true;
    requestAnimationFrame(() => { queued = false; redraw(); });
  }
  function show(i) {
    if (i === at) return;
    at = i;
    said.textContent = "";
    root.dataset.at = i;
    if (i < 0) said.textContent = "Point at a dot, touch it, or use the arrow keys. A button dims all other clusters.";
    else {
      said.style.setProperty("--hue", colour(groups[i]));
      make("b", said, { textContent: data.names[groups[i]] });
      said.append(texts[i]);
    }
    refresh();
  }

  // ---- By mouse, pen and finger: the nearest dot that is shown, if it is near
  function nearest(e) {
    const box = canvas.getBoundingClientRect(), x = e.clientX - box.left, y = e.clientY - box.top;
    let best = -1, least = (e.pointerType === "touch" ? 30 : 16) ** 2;
    for (let i = 0; i < n; i++) {
      if (alone >= 0 && groups[i] !== alone) continue;
      const d = (X(i) - x) ** 2 + (Y(i) - y) ** 2;
      if (d < least) [best, least] = [i, d];
    }
    return best;
  }
  for (const kind of ["pointermove", "pointerdown"])
    canvas.addEventListener(kind, e => { const i = nearest(e); if (i >= 0) show(i); });

  // ---- By keys
  canvas.addEventListener("keydown", e => {
    const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[e.key];
    e.stopPropagation();                                                   // hosts have shortcuts
    if (!way && e.key !== "Escape") return;
    e.preventDefault();
    if (!way) return show(-1);
    const K = data.names.length;
    let k = at < 0 ? 0 : groups[at] + way[1];
    for (let tries = 0; tries < K && !groups.includes((k + K) % K); tries++) k += way[1] || 1;
    k = (k + K) % K;
    const own = groups.flatMap((g, i) => (g === k ? [i] : []));
    const place = own.indexOf(at);
    show(own[place < 0 ? 0 : (place + way[0] + own.length) % own.length]);
  });

  at = -2;
  show(-1);
  theme.read();
  fit(canvas, (w, h) => { [width, height] = [w, h]; refresh(); });
})
