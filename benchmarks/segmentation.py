"""Segmentation of single pictures: boundary recall and precision, and intersection over union, of each way.

Photographs with outlines drawn by hand, and mosaics of textures whose layout is that of the seed. ``python -m
benchmarks.segmentation`` measures what has no row yet.
"""

import numpy as np
import torch
from skimage.color import rgb2lab
from skimage.segmentation import felzenszwalb, slic

from benchmarks import applications
from dclib.pictures import Scene, load_picture
from dclib.segments import (
    boundary_scores,
    cluster_pixels,
    colour_and_place,
    frozen_maps,
    matched_iou,
    merged_regions,
    normalized_cut,
    pixel_clusters,
    region_means,
    similarity,
    touching,
)

HEIGHT = 120  # pixels
STEPS, CHANNELS = 60, 50  # of feature clustering
FIRST = ("coffee", "chelsea", "mosaic")
SECOND = ("astronaut", "coins")  # not looked at while settings were chosen
EVERYWHERE = (
    "k-means on colour",
    "k-means on colour and place",
    "Felzenszwalb",
    "SLIC + normalized cut",
    "SLIC + merging (Ward)",
    "frozen features + k-means",
    "frozen features + merging (Ward)",
    "feature clustering, μ = 1",
    "feature clustering, μ = 5",
)
ABLATION = ("similarity alone", "continuity alone")
LARGER = ("feature clustering, μ = 1, p = 100",)
RUNS = [
    *((row, data) for data in (*FIRST, *SECOND) for row in EVERYWHERE),
    *((row, data) for data in FIRST for row in ABLATION),
    *((row, "coffee") for row in LARGER),
]


def superpixels(image: np.ndarray) -> np.ndarray:
    """Return scikit-image's SLIC: about 300 superpixels, everything else its default."""
    return slic(image, n_segments=300, start_label=0)


def by_net(image: np.ndarray, row: str, seed: int, steps: int = STEPS) -> np.ndarray:
    """Return the labels of feature clustering, as the name of the row says."""
    weights = {"similarity alone": {"mu": 0.0}, "continuity alone": {"sim": 0.0, "mu": 5.0}}
    how = weights.get(row, {"mu": 5.0 if "μ = 5" in row else 1.0})
    how |= {"p": 100 if "p = 100" in row else CHANNELS, "steps": steps}
    return cluster_pixels(image, random_state=seed, **how)


def found(row: str, shown: Scene, seed: int) -> np.ndarray:
    """Return the labels (H, W) that a row finds; those that take a number of clusters are told the true one."""
    image, n_clusters = shown.image, len(shown.names)
    if row.startswith("k-means on colour"):
        x = colour_and_place(image, 0.3 if "place" in row else 0.0)
        return pixel_clusters(x, image.shape, n_clusters, seed)
    if row == "Felzenszwalb":
        return felzenszwalb(image, scale=150, sigma=0.8, min_size=20)
    if row == "SLIC + normalized cut":
        pieces = superpixels(image)
        w = similarity(region_means(rgb2lab(image), pieces), touching(pieces))
        return normalized_cut(w, n_clusters, seed)[pieces]
    if row == "SLIC + merging (Ward)":
        return merged_regions(rgb2lab(image), superpixels(image), n_clusters)
    if row == "frozen features + k-means":
        return pixel_clusters(frozen_maps(image), image.shape, n_clusters, seed)
    if row == "frozen features + merging (Ward)":
        return merged_regions(frozen_maps(image, (3, 4, 5), 3), superpixels(image), n_clusters)
    return by_net(image, row, seed)


def measure(row: str, data: str, seed: int, height: int = HEIGHT) -> dict[str, float]:
    """Return the scores of one run."""
    torch.set_num_threads(1)
    shown = load_picture(f"mosaic-{seed}" if data == "mosaic" else data, height)
    labels = found(row, shown, seed)
    recall, precision = boundary_scores(labels, shown.regions)
    return {
        "iou": matched_iou(labels, shown.regions),
        "recall": recall,
        "precision": precision,
        "labels": len(np.unique(labels)),
    }


def main() -> None:
    """Run the command."""
    applications.main("segmentation", RUNS, measure)


if __name__ == "__main__":
    main()
