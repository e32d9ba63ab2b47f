"""DEN, deep embedding network: a code that keeps neighbours together and uses few groups of units, then k-means.

Source: Huang, Huang, Wang, Wang, "Deep Embedding Network for Clustering", ICPR 2014.
"""

import math
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from torch import Tensor

from dclib.base import COUNT, POSITIVE, WEIGHT, Batch, Points
from dclib.graphs import nearest
from dclib.methods.autoencoder_kmeans import AutoencoderKMeans
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
        α, the weight of the locality loss.
    sparsity
        β, the weight of the group loss.
    n_neighbors
        k, nearest points that each should stay with. One of them is drawn for each point of a mini-batch.
    width
        t of the heat kernel, in squared units of the points divided by ``scale_``. ``None``: the median squared
        distance to a neighbour.
    group_size
        n_g, units of the code in a group. The paper has a group for each cluster: d = K · ``group_size``.
    scale_free
        Measure both terms in units of the code's own spread. Without it, a smaller code is a better one, whatever it
        says, as long as the decoder can make up for it.
    latent_dim
        d, the width of the code.
    **shared
        The parameters of :class:`~dclib.methods.autoencoder_kmeans.AutoencoderKMeans`.

    Examples
    --------
    >>> from dclib import DEN, load
    >>> digits = load("digits")
    >>> model = DEN(10, hidden=(64,), pretrain_epochs=2, random_state=0).fit(digits.x)
    >>> model.labels_.shape
    (1797,)
    """

    profiles: ClassVar[dict[str, dict[str, Any]]] = {
        "full": {"latent_dim": 10, "group_size": 1, "locality": 0.2, "sparsity": 0.002}
    }
    _parameter_constraints: ClassVar[dict[str, list]] = {
        "locality": [WEIGHT],
        "sparsity": [WEIGHT],
        "n_neighbors": [COUNT],
        "width": [POSITIVE, None],
        "group_size": [COUNT],
        "scale_free": ["boolean"],
    }

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        locality: float = 0.2,
        sparsity: float = 0.01,
        n_neighbors: int = 5,
        width: float | None = None,
        group_size: int = 2,
        scale_free: bool = True,
        latent_dim: int = 20,
        **shared: Any,
    ) -> None:
        super().__init__(n_clusters, latent_dim=latent_dim, **shared)
        self.locality = locality
        self.sparsity = sparsity
        self.n_neighbors = n_neighbors
        self.width = width
        self.group_size = group_size
        self.scale_free = scale_free

    def representation_loss(self, batch: Batch) -> Tensor:
        """Return L = L_R + α E_loc + β E_grp of a mini-batch."""
        spread = batch.z.var(dim=0, unbiased=False).sum() if self.scale_free else batch.z.new_ones(())
        size = batch.z.square().sum(dim=1).mean() if self.scale_free else batch.z.new_ones(())
        near, similarity = self._drawn(batch.index)
        local = locality_loss(batch.z, self.network_.encoder(near), similarity) / spread.clamp_min(1e-12)
        grouped = group_loss(batch.z, self.group_size) / size.clamp_min(1e-12).sqrt()
        return super().representation_loss(batch) + self.locality * local + self.sparsity * grouped

    def _drawn(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return a neighbour (m, D) of each point of a mini-batch, as the network should see it, and their S (m,)."""
        column = torch.randint(self._near.shape[1], index.shape, device=index.device)
        near = self._points[self._near[index, column]]
        return self.augment(near) if self.augment else near, self._similarity[index, column]

    def _run(self, x: Points, saved: dict[str, Any] | None) -> None:
        self._points = x
        squared, self._near = (torch.as_tensor(found, device=x.device) for found in self._neighbours(x))
        width = self.width or float(squared.median().clamp_min(1e-12))
        self._similarity = heat_kernel(squared, width).float()
        super()._run(x, saved)
        del self._points, self._near, self._similarity

    def _neighbours(self, x: Points) -> tuple[NDArray, NDArray]:
        """Return squared distances (n, k) to the nearest points, and their places (n, k)."""
        if len(x) == 1:
            return np.zeros((1, 1)), np.zeros((1, 1), dtype=np.int64)
        pca = PCA(min(PCA_DIMS, *x.shape), random_state=0).fit(x[:PCA_SAMPLE].cpu().numpy())
        axes, mean = (torch.as_tensor(part, device=x.device) for part in (pca.components_, pca.mean_))
        distance, place = nearest(in_batches(lambda part: (part - mean) @ axes.T, x).cpu().numpy(), self.n_neighbors)
        return np.square(distance), place
