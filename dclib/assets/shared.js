// What all drawings share, passed to their scripts as one object.
(() => {
  "use strict";

  // Append an element of a kind, with properties and attributes.
  const make = (tag, parent, set = {}, attributes = {}) => {
    const node = Object.assign(document.createElement(tag), set);
    for (const name in attributes) node.setAttribute(name, attributes[name]);
    return parent.appendChild(node);
  };

  // Give a canvas the pixels of its place on the screen, and call `drawn` with its width and height when they change.
  const fit = (canvas, drawn) => {
    const resize = () => {
      const box = canvas.getBoundingClientRect();
      if (!box.width) return;
      canvas.width = Math.round(box.width * devicePixelRatio);
      canvas.height = Math.round(box.height * devicePixelRatio);
      drawn(box.width, box.height);
    };
    new ResizeObserver(resize).observe(canvas);
    addEventListener("resize", resize);
    resize();
  };

  // Follow the theme of the page: ink is the text colour, paper the first opaque ground behind an element. Returns
  // { ink, paper, read }, and calls `changed` when the host's theme changes.
  const follow = (root, changed) => {
    const probe = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
    const rgba = c => { probe.clearRect(0, 0, 1, 1); probe.fillStyle = c; probe.fillRect(0, 0, 1, 1); return probe.getImageData(0, 0, 1, 1).data; };
    const light = c => [0.2126, 0.7152, 0.0722].reduce((sum, w, j) => sum + w * (c[j] / 255) ** 2.2, 0);
    const now = { ink: "#000", paper: "#fff" };
    now.read = () => {
      root.style.color = "";
      let back = null;
      for (let node = root; node && !back; node = node.parentElement) {
        const c = rgba(getComputedStyle(node).backgroundColor);
        if (c[3] > 200) back = c;
      }
      const own = light(rgba(getComputedStyle(root).color));
      const flag = document.documentElement.getAttribute("theme") === "dark";   // Colab marks its output frames so
      const dark = back ? light(back) < 0.2 : flag || own > 0.4;
      const behind = back ? light(back) : dark ? 0.01 : 1;
      if ((Math.max(own, behind) + 0.05) / (Math.min(own, behind) + 0.05) < 3) root.style.color = dark ? "#e6e6e6" : "#222";
      now.ink = getComputedStyle(root).color;
      now.paper = back ? `rgb(${back[0]} ${back[1]} ${back[2]})` : dark ? "#1a1a1a" : "#fff";
      root.style.colorScheme = dark ? "dark" : "light";
      changed();
    };
    const again = () => { now.read(); setTimeout(now.read, 500); };   // again once new style sheets are in
    const watch = new MutationObserver(again);
    for (const node of [document.documentElement, document.body])
      watch.observe(node, { attributes: true, attributeFilter: ["class", "style", "theme", "data-theme", "data-mode", "data-jp-theme-name", "data-jp-theme-light"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
    return now;
  };

  return { make, fit, follow };
})()
