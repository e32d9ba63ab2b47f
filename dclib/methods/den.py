"""DEN, deep embedding network: a code that keeps neighbours together and uses few groups of units, then k-means.

Source: Huang, Huang, Wang, Wang, "Deep Embedding Network for Clustering", ICPR 2014.
"""

import math
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.utils._param_validation import StrOptions
from torch import Tensor
from torch.nn.functional import normalize

from dclib.base import COUNT, POSITIVE, WEIGHT
from dclib.graphs import nearest
from dclib.methods.autoencoder_kmeans import AutoencoderKMeans
from dclib.phases import Batch, Points
from dclib.training import in_batches

PCA_DIMS, PCA_SAMPLE = 50, 20_000  # neighbours are looked for along the leading axes, found on so many points


def heat_kernel(distance: Tensor, width: float) -> Tensor:
    """Return S = exp(−‖x_i − x_j‖² / t): how much neighbours should stay together.

    Parameters
    ----------
    distance
        *Squared* distances, of any shape.
    width
        t, in squared units of the data. Far below the usual squared distance, every S is zero.

    Notes
    -----
    Derived in :doc:`/notebooks/autoencoders/den`.
    """
    return (-distance / width).exp()


def locality_loss(z: Tensor, z_near: Tensor, similarity: Tensor) -> Tensor:
    """Return S_ij ‖z_i − z_j‖², a mean over pairs of neighbours.

    What is near in the data should be near in the code.

    Parameters
    ----------
    z, z_near
        Codes (m, d) of points, and of one neighbour of each.
    similarity
        S (m,) of each pair.

    Notes
    -----
    Derived in :doc:`/notebooks/autoencoders/den`.
    """
    return (similarity * (z - z_near).square().sum(dim=1)).mean()


def group_loss(z: Tensor, group_size: int) -> Tensor:
    """Return Σ_g √n_g ‖z_g‖, a mean over points: each should use few groups.

    Parameters
    ----------
    z
        Codes (m, d).
    group_size
        n_g, units in a group; neighbours in the code form one, and the last may be smaller.

    Notes
    -----
    Derived in :doc:`/notebooks/autoencoders/den`.
    """
    groups = z.split(group_size, dim=1)
    lengths = [math.sqrt(g.shape[1]) * g.norm(dim=1) for g in groups]
    return sum(lengths).mean()


def in_white(z: Tensor, z_near: Tensor) -> tuple[Tensor, Tensor]:
    """Return codes and neighbours in coordinates in which they have unit covariance.

    What is measured there is blind to every invertible matrix on the code, as the autoencoder is: locality cannot be
    had by shrinking the code, nor by laying it on a line.

    Parameters
    ----------
    z, z_near
        Codes (m, d) of points, and of one neighbour of each.

    Notes
    -----
    A thousandth of the mean variance is added in every direction, so that directions which hold next to nothing stay
    small. Derived in :doc:`/notebooks/autoencoders/den`.
    """
    with torch.autocast(z.device.type, enabled=False):
        both = torch.cat([z, z_near]).to(torch.promote_types(z.dtype, torch.float32))
        centred = both - both.mean(dim=0)
        covariance = centred.T @ centred / len(both)
        ridge = 1e-3 * covariance.diagonal().mean() + 1e-12
        covariance += ridge * torch.eye(z.shape[1]).to(both)
        root = torch.linalg.cholesky_ex(covariance).L  # NaN passes through
        white = torch.linalg.solve_triangular(root, both.T, upper=False).T
    return white[: len(z)], white[len(z) :]


class DEN(AutoencoderKMeans):
    """Deep embedding network (Huang et al. 2014).

    An autoencoder with two more terms, L = L_R + α E_loc + β E_grp, and k-means on its codes. Neither term knows a
    cluster, so this is a regularisation: near points should have near codes, and each code should use few groups of
    units.

    Parameters
    ----------
    n_clusters
        K, the number of clusters.
    locality
        α, the weight of the locality loss. In raw units it cost accuracy on digits, on every seed.
    sparsity
        β, the weight of the group loss. Its default has no effect on digits; more shrinks the code, or loses it.
    n_neighbors
        k, nearest points that each should stay with. One of them is drawn for each point of a mini-batch.
    width
        t of the heat kernel, in squared units of the points divided by ``scale_``. ``None``: the median squared
        distance to a neighbour.
    group_size
        n_g, units of the code in a group. The paper has a group for each cluster: d = K · ``group_size``.
    units
        In which both terms are measured. ``"raw"``: as in ClustPy; then a smaller code is a better one, whatever it
        says, as long as the decoder can make up for it. ``"size"``: in units of the code's spread; then a line is a
        better code than a cloud, and one long code makes up for many short ones. ``"white"``: locality in the white
        code, the groups of each code beside its own length; then neither helps. On digits that undoes what the raw
        terms cost, and gains nothing over an autoencoder without them.
    **shared
        The parameters of :class:`~dclib.methods.autoencoder_kmeans.AutoencoderKMeans`.

    The authors' recipe is not known to us: the paper was not read, and the formulas are ClustPy's. The profile
    ``"paper"`` is that of :class:`~dclib.methods.autoencoder_kmeans.AutoencoderKMeans`, trained as a whole where DEN
    begins layer by layer; weights, neighbours and width of the kernel are ours.

    Examples
    --------
    >>> from dclib import DEN, load
    >>> digits = load("digits")
    >>> model = DEN(10, hidden=(64,), pretrain_epochs=2, random_state=0).fit(digits.x)
    >>> model.labels_.shape
    (1797,)
    """

    first_phase: ClassVar[tuple[str, ...]] = ("locality", "sparsity", "n_neighbors", "width", "group_size", "units")
    _parameter_constraints: ClassVar[dict[str, list]] = {
        "locality": [WEIGHT],
        "sparsity": [WEIGHT],
        "n_neighbors": [COUNT],
        "width": [POSITIVE, None],
        "group_size": [COUNT],
        "units": [StrOptions({"white", "size", "raw"})],
    }

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        locality: float = 0.2,
        sparsity: float = 0.001,
        n_neighbors: int = 5,
        width: float | None = None,
        group_size: int = 1,
        units: str = "raw",
        **shared: Any,
    ) -> None:
        super().__init__(n_clusters, **shared)
        self.locality = locality
        self.sparsity = sparsity
        self.n_neighbors = n_neighbors
        self.width = width
        self.group_size = group_size
        self.units = units

    def representation_loss(self, batch: Batch) -> Tensor:
        """Return L = L_R + α E_loc + β E_grp of a mini-batch."""
        near, similarity = self._drawn(batch.index)
        local, grouped = self._terms(batch.z, self.encode(near).float(), similarity)
        error = super().representation_loss(batch)
        return error + self.locality * batch.note("E_loc", local) + self.sparsity * batch.note("E_grp", grouped)

    def _terms(self, z: Tensor, z_near: Tensor, similarity: Tensor) -> tuple[Tensor, Tensor]:
        """Return E_loc and E_grp, each in the chosen units."""
        if self.units == "white":
            local = locality_loss(*in_white(z, z_near), similarity) / z.shape[1]
            return local, group_loss(normalize(z), self.group_size)
        local, grouped = locality_loss(z, z_near, similarity), group_loss(z, self.group_size)
        if self.units == "raw":
            return local, grouped
        both = torch.cat([z, z_near])
        spread = both.var(dim=0, unbiased=False).sum()
        size = both.square().sum(dim=1).mean().sqrt()
        return local / spread.clamp_min(1e-12), grouped / size.clamp_min(1e-12)

    def _drawn(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return a neighbour (m, D) of each point of a mini-batch, as the network should see it, and their S (m,)."""
        column = torch.randint(self._near.shape[1], index.shape, device=index.device)
        near = self._points[self._near[index, column]]
        return self.augment(near) if self.augment else near, self._similarity[index, column]

    def prepare(self, x: Points) -> None:
        """Find the neighbours of each point, among the points that this process holds."""
        self._points = x
        squared, self._near = (torch.as_tensor(found, device=x.device) for found in self._neighbours(x))
        width = self.width or float(squared.median().clamp_min(1e-12))
        self._similarity = heat_kernel(squared, width).float()

    def _neighbours(self, x: Points) -> tuple[NDArray, NDArray]:
        """Return squared distances (n, k) to the nearest points, and their places (n, k)."""
        if len(x) == 1:
            return np.zeros((1, 1)), np.zeros((1, 1), dtype=np.int64)
        sample = x[:PCA_SAMPLE].flatten(1).cpu().numpy()
        pca = PCA(min(PCA_DIMS, *sample.shape), random_state=0).fit(sample)
        axes, mean = (torch.as_tensor(part, device=x.device) for part in (pca.components_, pca.mean_))
        short = in_batches(lambda part: (part.flatten(1) - mean) @ axes.T, x)
        distance, place = nearest(short.cpu().numpy(), self.n_neighbors)
        return np.square(distance), place
