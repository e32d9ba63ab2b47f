"""HTML elements that stand alone: a script, a style and numbers, with a picture where scripts don't run."""

import base64
import hashlib
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SPRITE_SIDE = 32  # pixels; larger images are shown smaller


@dataclass(frozen=True)
class HtmlElement:
    """Something to play with: an element where scripts run, a picture elsewhere."""

    html: str
    png: bytes = field(repr=False)

    def __repr__(self) -> str:
        return f"<HtmlElement, {len(self.html):,} bytes>"

    def _repr_html_(self) -> str:
        return self.html

    def _repr_png_(self) -> bytes:
        return self.png

    def save(self, path: str | Path, title: str) -> Path:
        """Write the element as an HTML page that stands alone, and return its path."""
        path = Path(path)
        head = "<!doctype html>\n<html lang='en'>\n<meta charset='utf-8'>\n"
        head += "<meta name='viewport' content='width=device-width, initial-scale=1'>\n"
        head += f"<title>{title}</title>\n"
        head += "<link rel='icon' href='data:,'>\n"
        head += "<style>:root { color-scheme: light dark } body { margin: 12px; font-family: sans-serif;"
        head += " background: light-dark(#fff, #121212); color: light-dark(#222, #ddd) }</style>\n"
        path.write_text(head + self.html + "\n", encoding="utf-8")
        return path


def html(kind: str, payload: dict[str, Any], label: str, waits: str) -> str:
    """Return an element of a kind that has ``kind.js`` and ``kind.css`` in ``dclib/assets``.

    Parameters
    ----------
    kind
        ``"film"``, ``"sketch"``, ``"samples"`` or ``"walk"``: a ``div`` of class ``dclib-kind``, whose id is a digest
        of what it shows.
    payload
        What the script is called with: numbers and words.
    label
        Its name, for those who cannot see it.
    waits
        What stands there where no script has run.
    """
    text = json.dumps(payload, separators=(",", ":"), ensure_ascii=False)
    name = hashlib.sha256(text.encode()).hexdigest()[:12]
    text = json.dumps({"id": name, **payload}, separators=(",", ":"), ensure_ascii=False)
    text = text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return (
        f'<div class="dclib-{kind}" id="{kind}-{name}" role="group" aria-label="{label}">'
        f"<style>{asset(f'{kind}.css')}</style>"
        f'<p class="{kind}-wait">{waits}</p>'
        f"<script>{asset(f'{kind}.js')}({text}, document.currentScript, {asset('shared.js')})</script></div>"
    )


def sprite(x: NDArray, shape: tuple[int, ...], share: float, levels: int) -> dict[str, Any]:
    """Lay all images out on one sheet, sides at most ``SPRITE_SIDE``: PNG if grey, JPEG if coloured."""
    low, high = float(x.min()), float(x.max())
    images = ((x.reshape(-1, *shape) - low) / max(high - low, 1e-12) * 255).round().astype(np.uint8)
    if len(shape) == 3 and shape[2] == 1:
        images = images[..., 0]
    share = min(share, SPRITE_SIDE * share / max(shape[:2]))
    side = (max(1, round(shape[1] * share)), max(1, round(shape[0] * share)))  # width, height
    small = [Image.fromarray(image).resize(side, Image.Resampling.BOX) for image in images]
    columns = int(np.ceil(np.sqrt(len(small))))
    sheet = Image.new(small[0].mode, (columns * side[0], -(-len(small) // columns) * side[1]))
    for i, image in enumerate(small):
        sheet.paste(image, (i % columns * side[0], i // columns * side[1]))
    zoom = 96 / max(side)
    source = _jpeg(sheet, levels) if sheet.mode == "RGB" else _grey_png(sheet, levels)
    return {
        "src": source,
        "w": side[0],
        "h": side[1],
        "columns": columns,
        "show": [round(s * zoom) for s in side],
    }


def _grey_png(sheet: Image.Image, levels: int) -> str:
    """Return a grey sheet as a PNG address with a palette of ``levels`` greys."""
    index = _paletted(sheet, levels)
    out = io.BytesIO()
    index.save(out, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


def _paletted(sheet: Image.Image, levels: int) -> Image.Image:
    rank = (np.asarray(sheet) * ((levels - 1) / 255)).round().astype(np.uint8)
    image = Image.frombytes("P", sheet.size, rank.tobytes())
    image.putpalette(np.repeat(np.linspace(0, 255, levels).round().astype(np.uint8), 3).tolist())
    return image


def _jpeg(sheet: Image.Image, levels: int) -> str:
    """Return a coloured sheet as a JPEG address, of a quality that follows ``levels``."""
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality={16: 75, 8: 55, 4: 35}[levels], optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def asset(name: str) -> str:
    """Return a file of ``dclib/assets`` without its indents and its lines of comment."""
    text = Path(__file__).with_name("assets").joinpath(name).read_text(encoding="utf-8")
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith(("//", "/*")))
