"""Draw the cover: digits laid out by DEC's latent code, tinted by the cluster they were found in.

Run with `make cover`. It trains DEC on the bundled digits (some minutes) and writes book/_static/cover.png.
No label is used: the colours are clusters.
"""

import argparse
from pathlib import Path

import matplotlib
import numpy as np
from sklearn.manifold import TSNE

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.colors import to_rgb

from dclib import DEC, load
from dclib.plots import PALETTE

INK = "#10161d"
WIDTH, HEIGHT = 1920, 864  # pixels
STAMP = 28  # side of a digit, pixels


def latent_map(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images (n, 28, 28), their places in the plane (n, 2), and the cluster of each (n,)."""
    data = load("mnist-10k")
    model = DEC.for_data(data, random_state=seed, verbose=0).fit(data.x)
    z = model.transform(data.x)[:n]
    plane = TSNE(init="pca", perplexity=40, random_state=seed).fit_transform(z)
    return data.x[:n].reshape(-1, *data.shape), plane, model.labels_[:n]


def to_pixels(plane: np.ndarray) -> np.ndarray:
    """Fit the places to the picture, longer axis across, a margin around."""
    axes = np.linalg.svd(plane - plane.mean(0), full_matrices=False)[2]
    turned = (plane - plane.mean(0)) @ axes.T
    low, high = turned.min(0), turned.max(0)
    room = np.array([WIDTH, HEIGHT]) - 3 * STAMP
    return 1.5 * STAMP + (turned - low) / (high - low) * room


def choose(places: np.ndarray, gap: float) -> np.ndarray:
    """Indices of points that keep a distance, first come first served, so that digits do not lie on each other."""
    taken: dict[tuple[int, int], list[int]] = {}
    kept = []
    for i, (x, y) in enumerate(places):
        box = int(x // gap), int(y // gap)
        near = (j for dx in (-1, 0, 1) for dy in (-1, 0, 1) for j in taken.get((box[0] + dx, box[1] + dy), ()))
        if all(np.abs(places[i] - places[j]).max() > gap for j in near):
            taken.setdefault(box, []).append(i)
            kept.append(i)
    return np.array(kept)


def paint(images: np.ndarray, places: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The picture as an array of values in [0, 1]: each digit in the light of its cluster."""
    canvas = np.tile(np.array(to_rgb(INK)), (HEIGHT, WIDTH, 1))
    colours = np.array([to_rgb(colour) for colour in PALETTE])
    colours = 0.82 * colours + 0.18  # a little lighter, on the dark ground
    for image, (x, y), label in zip(images, places, labels, strict=True):
        column, row = int(x - STAMP / 2), int(y - STAMP / 2)
        patch = canvas[row : row + STAMP, column : column + STAMP]
        light = image[: patch.shape[0], : patch.shape[1], None]
        patch[:] = (1 - light) * patch + light * colours[label % len(colours)]
    return canvas


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "_static" / "cover.png")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--points", type=int, default=10_000)
    args = parser.parse_args()
    images, plane, labels = latent_map(args.points, args.seed)
    places = to_pixels(plane)
    kept = choose(places, 0.6 * STAMP)
    picture = paint(images[kept], places[kept], labels[kept])
    plt.imsave(args.out, (picture * 255).astype(np.uint8))
    print(f"{args.out}: {len(kept)} digits, {args.out.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
