"""Segmentation: the pixels of one picture as points, superpixels, normalized cuts, a net for one picture, scores."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.ndimage import distance_transform_edt
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import AgglomerativeClustering, KMeans
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate, normalize

from dclib.features import Backbone, coloured
from dclib.metrics import contingency
from dclib.training import autocast, seeded

# --- pixels as points ---


def colour_and_place(image: NDArray, weight: float = 0.0) -> NDArray:
    """Return a row a pixel: L, a, b of CIELAB, then row and column times ``weight``.

    Parameters
    ----------
    image : ndarray (H, W, 3)
        sRGB from 0 to 1.
    weight
        What a pixel's side counts, in CIELAB's units; 0 leaves the place out.

    Returns
    -------
    ndarray (H W, 5), or (H W, 3) without place

    Raises
    ------
    ValueError
        If ``image`` is no picture, or ``weight`` below 0.

    Notes
    -----
    Derived in :doc:`/notebooks/applications/segmentation`.
    """
    from skimage.color import rgb2lab

    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"image has shape {image.shape}, not (height, width, 3).")
    if weight < 0:
        raise ValueError(f"weight={weight}: a place counts 0 or more.")
    lab, places = rgb2lab(image), np.indices(image.shape[:2]).transpose(1, 2, 0)
    both = np.concatenate([lab, weight * places], axis=2) if weight else lab
    return both.reshape(-1, both.shape[2])


def slic(image: NDArray, n: int, m: float = 10.0, steps: int = 10) -> NDArray:
    """Return superpixels (H, W): k-means in which a centre sees a 2S × 2S window.

    Parameters
    ----------
    image : ndarray (H, W, 3)
        sRGB from 0 to 1.
    n
        About how many; they start on a grid of step S = √(HW/n).
    m
        CIELAB units that a distance of S counts.
    steps
        Rounds of assignment and means.

    Notes
    -----
    Achanta et al., IEEE TPAMI 2012, without its last step, which joins stray pixels to a neighbour.
    Derived in :doc:`/notebooks/applications/segmentation`.
    """
    height, width = image.shape[:2]
    S = np.sqrt(height * width / n)
    x = colour_and_place(image, m / S).reshape(height, width, 5)
    grid = [np.arange(S / 2, side, S).astype(int) for side in (height, width)]
    places = np.stack(np.meshgrid(*grid, indexing="ij"), -1).reshape(-1, 2)
    centres = x[places[:, 0], places[:, 1]]
    for _ in range(steps):
        labels = nearest_in_window(x, centres, S, m)
        used = np.unique(labels)
        centres[used] = region_means(x, labels)[used]
    return labels


def nearest_in_window(x: NDArray, centres: NDArray, S: float, m: float) -> NDArray:
    """Return each pixel's nearest centre, of those whose 2S × 2S window it is in.

    ``x`` is (H, W, 5) and ``centres`` (K, 5), places times m / S.

    Derived in :doc:`/notebooks/applications/segmentation`.
    """
    best = np.full(x.shape[:2], np.inf)
    labels = np.zeros(x.shape[:2], int)
    for k, centre in enumerate(centres):
        r, c = centre[3:] * S / m
        rows = slice(max(0, int(np.ceil(r - S))), int(r + S) + 1)
        window = rows, slice(max(0, int(np.ceil(c - S))), int(c + S) + 1)
        distance = np.square(x[window] - centre).sum(axis=2)
        closer = distance < best[window]
        best[window][closer] = distance[closer]
        labels[window][closer] = k
    return labels


# --- regions as points ---


def region_means(x: NDArray, labels: NDArray) -> NDArray:
    """Return each region's mean row (regions, d), of ``x`` (H, W, d).

    ``labels`` (H, W) count from 0.

    Derived in :doc:`/notebooks/applications/segmentation`.
    """
    flat, rows = labels.ravel(), x.reshape(labels.size, -1)
    sums = [np.bincount(flat, column) for column in rows.T]
    return np.transpose(sums) / np.maximum(np.bincount(flat), 1)[:, None]


def touching(labels: NDArray) -> NDArray:
    """Return which regions of ``labels`` (H, W) share a side of a pixel: booleans (regions, regions)."""
    touch = np.zeros((labels.max() + 1,) * 2, dtype=bool)
    for one, other in ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])):
        touch[one, other] = touch[other, one] = True
    np.fill_diagonal(touch, False)
    return touch


def similarity(features: NDArray, touch: NDArray) -> NDArray:
    """Return W: exp(−d²/2σ²) where regions touch, else 0; σ² is the median d².

    ``features`` is (n, d), ``touch`` (n, n).

    Derived in :doc:`/notebooks/applications/segmentation`.
    """
    d2 = np.square(features[:, None] - features[None]).sum(axis=-1)
    sigma2 = np.median(d2[touch]) if touch.any() else 1.0
    return np.where(touch, np.exp(-d2 / (2 * sigma2 + 1e-12)), 0.0)


def ncut(w: NDArray, labels: NDArray) -> float:
    """Return Ncut: over clusters, the weight of cut edges over that of all edges.

    Derived in :doc:`/notebooks/applications/segmentation`.
    """
    total = 0.0
    for k in np.unique(labels):
        own = labels == k
        total += w[own][:, ~own].sum() / max(w[own].sum(), 1e-12)
    return total


def normalized_cut(w: NDArray, n_clusters: int, random_state: int = 0) -> NDArray:
    """Return clusters of a graph, by the relaxed normalized cut and k-means.

    Parameters
    ----------
    w : ndarray (n, n)
        Symmetric weights, none below 0.
    n_clusters
        K.
    random_state
        Seed of k-means.

    Raises
    ------
    ValueError
        If K is not from 1 to n.

    Notes
    -----
    Shi and Malik, IEEE TPAMI 2000. The rows of the eigenvectors are brought to length one (Ng et al., NeurIPS 2001).
    Derived in :doc:`/notebooks/applications/segmentation`.
    """
    if not 1 <= n_clusters <= len(w):
        raise ValueError(f"n_clusters={n_clusters}: 1 … {len(w)} for {len(w)} nodes.")
    root = 1 / np.sqrt(np.maximum(w.sum(axis=1), 1e-12))
    laplacian = np.eye(len(w)) - root[:, None] * w * root  # normalized Laplacian
    _, vectors = eigh(laplacian, subset_by_index=(0, n_clusters - 1))
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    kmeans = KMeans(n_clusters, n_init=10, random_state=random_state)
    return kmeans.fit_predict(vectors / np.maximum(length, 1e-12))


def pixel_clusters(x: NDArray, shape: tuple[int, ...], n_clusters: int, random_state: int = 0) -> NDArray:
    """Return k-means clusters of the rows of ``x``, one a pixel, as a picture of ``shape`` (H, W, …)."""
    rows = x.reshape(shape[0] * shape[1], -1)
    labels = KMeans(n_clusters, n_init=10, random_state=random_state).fit_predict(rows)
    return labels.reshape(shape[:2])


def merged_regions(features: NDArray, labels: NDArray, n_regions: int) -> NDArray:
    """Return ``n_regions`` connected regions (H, W): Ward's merges of regions of ``labels`` that touch."""
    ward = AgglomerativeClustering(n_regions, connectivity=touching(labels), linkage="ward")
    return ward.fit_predict(region_means(features, labels))[labels]


# --- a net for one picture ---


def response_net(p: int = 100, q: int = 100, n_layers: int = 2) -> nn.Sequential:
    """Return the network: pictures (1, 3, H, W) to responses (1, q, H, W).

    Parameters
    ----------
    p
        Channels of the features.
    q
        Most labels that there can be.
    n_layers
        Components of convolution, ReLU and batch norm.

    Notes
    -----
    Derived in :doc:`/notebooks/applications/segmentation`.
    """
    layers: list[nn.Module] = []
    for channels in (3, *[p] * (n_layers - 1)):
        layers += [nn.Conv2d(channels, p, 3, padding=1), nn.ReLU()]
        layers += [nn.BatchNorm2d(p)]
    return nn.Sequential(*layers, nn.Conv2d(p, q, 1), nn.BatchNorm2d(q))


def similarity_loss(response: Tensor) -> Tensor:
    """Return the cross-entropy of responses (1, q, H, W) with their own labels.

    Derived in :doc:`/notebooks/applications/segmentation`.
    """
    return cross_entropy(response, response.detach().argmax(dim=1))


def continuity_loss(response: Tensor) -> Tensor:
    """Return the mean L1 difference of responses (1, q, H, W) to the next pixels.

    Derived in :doc:`/notebooks/applications/segmentation`.
    """
    down, across = response.diff(dim=2).abs(), response.diff(dim=3).abs()
    return down.mean() + across.mean()


def cluster_pixels(
    image: NDArray,
    *,
    steps: int = 100,
    mu: float = 1.0,
    sim: float = 1.0,
    min_labels: int = 3,
    p: int = 100,
    n_layers: int = 2,
    lr: float = 0.1,
    random_state: int = 0,
    watch: Callable[[int, NDArray, float, float], None] | None = None,
) -> NDArray:
    """Return labels (H, W) of a picture, found by a small convnet that is trained on this picture alone.

    Parameters
    ----------
    image : ndarray (H, W, 3)
        sRGB from 0 to 1.
    steps
        Most steps of gradient descent.
    mu, sim
        Weights of the continuity loss and of the similarity loss.
    min_labels
        Stop as soon as no more labels than this are in use.
    p, n_layers
        Channels, of features and of responses, and layers of the network.
    lr
        Learning rate; momentum is 0.9.
    random_state
        Seed of the weights.
    watch
        Called in each step with its number, the labels and the two losses.

    Raises
    ------
    ValueError
        If ``image`` is no picture, ``steps`` is below 1, or a weight below 0.

    Notes
    -----
    Kim, Kanezaki and Tanaka, IEEE Transactions on Image Processing 2020; defaults are those of the authors' code.
    """
    if image.ndim != 3 or image.shape[2] != 3 or steps < 1 or min(mu, sim) < 0:
        raise ValueError(f"image {image.shape}, steps={steps}, mu={mu}, sim={sim}: (H, W, 3), ≥ 1, ≥ 0, ≥ 0.")
    x = torch.as_tensor(image, dtype=torch.float32).permute(2, 0, 1)[None]
    with seeded(random_state):
        net = response_net(p, p, n_layers)
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9)
    for step in range(steps):
        with autocast(x.device):
            response = net(x).float()
        labels = response.detach()[0].argmax(dim=0).numpy()
        losses = similarity_loss(response), continuity_loss(response)
        if watch is not None:
            watch(step, labels, *(float(loss.detach()) for loss in losses))
        if len(np.unique(labels)) <= min_labels:
            break
        optimizer.zero_grad()
        (sim * losses[0] + mu * losses[1]).backward()
        optimizer.step()
    return labels


# --- a net that learned elsewhere ---


@torch.no_grad()
def frozen_maps(
    image: NDArray,
    stages: tuple[int, ...] = (5,),
    enlarge: int = 2,
) -> NDArray:
    """Return a pretrained network's maps at each pixel, a stage at length one.

    Parameters
    ----------
    image : ndarray (H, W, 3)
        sRGB from 0 to 1.
    stages
        Stages of EfficientNet-lite0 whose maps count, 0 … 8.
    enlarge
        How many times the picture is enlarged first, so that maps are finer.

    Returns
    -------
    ndarray (H, W, d)

    Notes
    -----
    Derived in :doc:`/notebooks/applications/segmentation`.
    """
    size, found = tuple(image.shape[:2]), []
    net = Backbone(layer=max(stages)).eval()
    x = torch.as_tensor(image, dtype=torch.float32).permute(2, 0, 1)[None]
    at = interpolate(coloured(x), scale_factor=enlarge, mode="bilinear")
    at = (at - net.mean) / net.sd
    for number, stage in enumerate(net.stages):
        at = stage(at)
        if number in stages:
            maps = normalize(at, dim=1)
            found.append(interpolate(maps, size=size, mode="bilinear"))
    return torch.cat(found, dim=1)[0].permute(1, 2, 0).numpy()


# --- scores ---


def boundary(labels: NDArray) -> NDArray:
    """Return the pixels of ``labels`` (H, W) whose right or lower neighbour has another label, (H, W) of booleans."""
    edge = np.zeros(labels.shape, dtype=bool)
    edge[:-1] |= labels[1:] != labels[:-1]
    edge[:, :-1] |= labels[:, 1:] != labels[:, :-1]
    return edge


def boundary_scores(labels: NDArray, reference: NDArray, tolerance: float = 2.0) -> tuple[float, float]:
    """Return boundary recall and precision: the share of one boundary that is near to the other.

    Parameters
    ----------
    labels, reference : ndarray (H, W)
        Found and true regions.
    tolerance
        How near, in pixels.

    Raises
    ------
    ValueError
        If the shapes differ, or the tolerance is below 0.
    """
    if labels.shape != reference.shape or tolerance < 0:
        raise ValueError(f"labels {labels.shape}, reference {reference.shape}, tolerance={tolerance}: one shape, ≥ 0.")
    found, true = boundary(labels), boundary(reference)
    return _near(true, found, tolerance), _near(found, true, tolerance)


def _near(one: NDArray, other: NDArray, tolerance: float) -> float:
    """Return the share of the pixels of ``one`` that have a pixel of ``other`` within the tolerance; 1 if none is."""
    if not one.any() or not other.any():
        return float(not one.any())
    return float((distance_transform_edt(~other)[one] <= tolerance).mean())


def matched_iou(labels: NDArray, reference: NDArray) -> float:
    """Return the mean IoU of true regions with their matched clusters, or 0.

    The matching is one to one, and the one with the largest sum.

    Derived in :doc:`/notebooks/applications/segmentation`.
    """
    both = contingency(reference.ravel(), labels.ravel())[0]
    union = both.sum(axis=1, keepdims=True) + both.sum(axis=0) - both
    iou = both / union
    return float(iou[linear_sum_assignment(iou, maximize=True)].sum() / len(iou))
