"""Methods that can draw new points: the range of the data, and samples in its unit and shape."""

from numbers import Integral
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_array, check_is_fitted
from torch import Tensor

from dclib import parallel
from dclib.base import DeepClusterer
from dclib.phases import Points
from dclib.training import EVALUATION_BATCH, in_parts, seed_of, seeded


class GeneratingClusterer(DeepClusterer):
    """A method that can draw points: it says how latent points are drawn, and how points are made of them.

    Beside what :class:`~dclib.base.DeepClusterer` asks for, a method says

    - ``draw_latents``: latent points, of one cluster or of all,
    - ``generate``: from latent points to points as the network sees them.

    Attributes
    ----------
    range_ : list of two floats
        The least and the largest value of the training data, in the network's unit.
    sample_shape_ : tuple of int
        The shape of a point as it came, and of a sample.
    """

    augmented: ClassVar[bool] = False  # it would draw augmented points

    def prepare(self, x: Points) -> None:
        """Find the range of the values of ``x`` (n, …), over all processes."""
        parts = (x[start : start + EVALUATION_BATCH] for start in range(0, len(x), EVALUATION_BATCH))
        ends = torch.stack([torch.stack([-part.min(), part.max()]) for part in parts]).amax(dim=0).cpu()
        low, high = torch.stack(parallel.everyones(ends)).amax(dim=0).tolist()
        self.range_ = [-low, high]

    def _set_shapes(self) -> None:
        super()._set_shapes()
        self.sample_shape_ = tuple(self._came_as)

    def in_unit(self, x: Tensor) -> Tensor:
        """Return points ``x`` (m, …) with the data's least value at 0 and its largest at 1; what is outside is cut."""
        low, high = self.range_
        return ((x - low) / (high - low)).clamp(0, 1)

    def from_unit(self, share: Tensor) -> Tensor:
        """Return points (m, …) in the network's unit from values between 0 and 1."""
        low, high = self.range_
        return low + (high - low) * share

    def draw_latents(self, n: int, cluster: int | None) -> Tensor:
        """Return ``n`` latent points, of one cluster or of all."""
        raise NotImplementedError

    def generate(self, latents: Tensor) -> Tensor:
        """Return points (m, …) in the network's unit."""
        raise NotImplementedError

    @torch.no_grad()
    def sample(
        self, n: int = 1, cluster: int | None = None, random_state: int | np.random.RandomState | None = None
    ) -> NDArray[np.float32]:
        """Draw new points.

        Parameters
        ----------
        n
            How many.
        cluster
            From which cluster, 0 to K−1; by default from all.
        random_state
            Seed of the draw; by default that of the fit, so that the same call gives the same points.

        Returns
        -------
        ndarray (n, …)
            Points in the unit and the shape of the training data.

        Raises
        ------
        ValueError
            If ``n`` is not positive, or there is no such cluster.
        """
        check_is_fitted(self)
        if not isinstance(n, Integral) or n < 1:
            raise ValueError(f"n={n!r} should be a whole number from 1.")
        if cluster is not None and (not isinstance(cluster, Integral) or not 0 <= cluster < self.n_clusters):
            raise ValueError(f"cluster={cluster!r} should be a whole number from 0 to {self.n_clusters - 1}.")
        with seeded(self.seed_ if random_state is None else seed_of(random_state), self._network_device()):
            return self._as_data(in_parts(self.generate, self.draw_latents(int(n), cluster)))

    @torch.no_grad()
    def decode(self, Z: ArrayLike) -> NDArray[np.float32]:
        """Return the points that latent points are drawn as.

        Parameters
        ----------
        Z : array-like (n, d)
            Latent points, as ``draw_latents`` returns them: codes of a VAE, or noise and code of a game.

        Returns
        -------
        ndarray (n, …)
            Points in the unit and the shape of the training data.

        Raises
        ------
        ValueError
            If ``Z`` is not two-dimensional, has another width, or a value that is not finite.
        """
        check_is_fitted(self)
        Z = check_array(Z, dtype=np.float32)
        with seeded(self.seed_, self._network_device()):  # to look does not change a training
            width = self.draw_latents(1, None).shape[1]
        if Z.shape[1] != width:
            raise ValueError(f"Z has {Z.shape[1]} values a point, but latent points have {width}.")
        return self._as_data(in_parts(self.generate, torch.as_tensor(Z, device=self._network_device())))

    def _as_data(self, x: Tensor) -> NDArray[np.float32]:
        """Return points (n, …) of the network's unit in the unit and the shape of the training data."""
        x = x.double().cpu().numpy() * self.scale_ + self.offset_
        return x.reshape(-1, *self.sample_shape_).astype(np.float32)
