"""From what a caller passes to points ready to train on: shapes, types, refusals, and the unit of the data."""

import math
import warnings
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import assert_all_finite, check_is_fitted, validate_data
from torch import Tensor

from dclib import parallel
from dclib.augment import RandomAffine
from dclib.checks import callers_level
from dclib.points import exact_type, is_large_map, middle, parts
from dclib.sequences import check_ends, is_list_of_sequences, padded
from dclib.training import OutlierWarning, root_mean_square


def as_array(X: ArrayLike) -> ArrayLike:
    """Return a tensor as an array, on the processor, and leave everything else to scikit-learn's validation.

    A masked array has NaN where it is masked.
    """
    if isinstance(X, np.ma.MaskedArray):
        return X.astype(exact_type(X.dtype)).filled(np.nan)
    if not isinstance(X, Tensor):
        return X
    X = X.detach().cpu()
    return (X.float() if X.dtype == torch.bfloat16 else X).numpy()


class ReadsPoints:
    """What an estimator needs to take points: it refuses what can't be trained on, and finds offset and scale.

    Points may be rows (n, D), images (n, H, W) or (n, C, H, W), sequences (n, T) or (n, T, C). A network of the book
    that is fully connected or convolutional reads them as rows; one that was passed as ``network`` gets them in the
    shape in which they came. Sequences of unequal length are NaN beyond their ends from here to the network, which has
    to say that it reads them (``reads_ends``).
    """

    keeps_shape: ClassVar[bool] = False  # whether the method's own network reads points in the shape they came in

    def _validated(self, X: ArrayLike, reset: bool = False) -> NDArray:
        """Return ``X`` as rows (n, D) of floats (a large memory map: as it is), refused if it can't be trained on."""
        if not reset:
            check_is_fitted(self)
        if is_list_of_sequences(X):
            X = padded(X, None if reset else self.point_shape_[0])
        shape = np.shape(X)[1:] if hasattr(X, "ndim") and X.ndim > 2 else None
        X = X if shape is None else as_array(X).reshape(len(X), math.prod(shape))
        large = is_large_map(X)
        points = validate_data(self, as_array(X), dtype="numeric", ensure_all_finite=False, reset=reset)
        points = X if large else points.astype(exact_type(points.dtype), copy=False)  # validation forgets the map
        for part in parts(points):
            self._check_values(part, shape)
        if reset:
            self._came_as = shape or points.shape[1:]
        elif shape is not None:
            self._check_shape(shape, self.shape_ or self.point_shape_)
        return points

    def _check_values(self, rows: NDArray, shape: tuple[int, ...] | None) -> None:
        """Refuse infinity, and NaN but for what lies beyond the end of a sequence whose network reads that."""
        ended = shape is not None and len(shape) == 2 and bool(np.isnan(rows).any())
        if ended and self._reads_ends:
            check_ends(rows.reshape(-1, *shape))
            rows = rows[~np.isnan(rows)].reshape(-1, 1)
        elif ended and not np.isinf(rows).any():
            check_ends(rows.reshape(-1, *shape))  # in words of its own, if it is no end
            remedy = "dclib.sequences.resampled makes them equally long"
            raise ValueError(
                f"X contains NaN: sequences of unequal length, which this network does not read; {remedy}."
            )
        assert_all_finite(rows, estimator_name=type(self).__name__, input_name="X")

    @staticmethod
    def _values(points: NDArray) -> NDArray:
        """Return the points, or the values (m, 1) that are there if sequences end early."""
        if points.dtype.kind != "f" or not np.isnan(points[:, -1]).any():  # whoever ends early lacks the last value
            return points
        return points[~np.isnan(points)].reshape(-1, 1)

    @staticmethod
    def _check_shape(came: tuple[int, ...], read: tuple[int, ...]) -> None:
        """Refuse points of another shape than the network reads; rows, and axes of length one, are of any."""
        came_as, read_as = ([side for side in shape if side != 1] for shape in (came, read))
        if len(came_as) > 1 and len(read_as) > 1 and came_as != read_as:
            raise ValueError(f"points are of shape {tuple(came)}, and the network reads {tuple(read)}.")

    @property
    def _image_shape(self) -> tuple[int, ...] | None:
        """The shape of an image for a convolutional network: as asked for or, after ``fit``, as images came."""
        return vars(self).get("shape_", self.shape)

    def _set_shapes(self) -> None:
        """Settle in which shape the network reads a point; images give a convolutional method its ``shape``."""
        came, n_features = self._came_as, math.prod(self._came_as)
        asked = self.shape if self.shape is not None else came if self.convolutional and len(came) > 1 else None
        self.shape_ = None if asked is None else tuple(int(side) for side in asked)
        if self.shape_ is not None and math.prod(self.shape_) != n_features:
            wanted = math.prod(self.shape_)
            raise ValueError(f"a point has {n_features} values, and shape={self.shape_} asks for {wanted}.")
        if self.shape_ is not None:
            self._check_shape(came, self.shape_)
        self.point_shape_ = tuple(came) if self.network is not None or self.keeps_shape else (n_features,)
        if isinstance(self.augment, RandomAffine):
            self.augment.check(n_features)

    def _check_points(self, points: NDArray) -> None:
        """Refuse points in which there is nothing to find; set offset and scale, and warn if one sets it alone."""
        n, width = int(parallel.over_points(torch.tensor(len(points)))), points.shape[1]
        if n < self.n_clusters:
            raise ValueError(f"n_samples={n} should be >= n_clusters={self.n_clusters}.")
        least, most = -parallel.largest(-width), parallel.largest(width)
        if least != most:
            raise ValueError(f"a point has {least} values in one process and {most} in another.")
        if n > 1 and not parallel.largest(int(self._varied(points))):
            raise ValueError(f"all {n} points are the same: there is nothing to cluster.")
        values = self._values(points)
        with np.errstate(over="ignore"):
            self.offset_ = float(parallel.from_first(torch.tensor(middle(values), dtype=torch.float64)))
            self.scale_ = self._root_mean_square(values)
        if not 0 < self.scale_ < np.inf:
            raise ValueError("the squares of the values are out of a float's range; multiply X by a constant.")
        self._warn_of_an_outlier(points)

    @staticmethod
    def _varied(points: NDArray) -> bool:
        """Return whether a point differs from the first one, or from that of the first process."""
        first = torch.as_tensor(np.asarray(points[0], dtype=np.float64))
        others = not torch.equal(parallel.from_first(first).nan_to_num(), first.nan_to_num())
        return others or not all(np.array_equal(part, points[:1].repeat(len(part), 0), True) for part in parts(points))

    def _root_mean_square(self, points: NDArray) -> float:
        """Return the root mean square over the points of all processes, measured from the offset."""
        if not parallel.is_split():
            return root_mean_square(points, self.offset_)
        squares = root_mean_square(points, self.offset_) ** 2 * points.size
        total, size = parallel.over_points(torch.tensor([squares, points.size], dtype=torch.float64))
        return float(total / size) ** 0.5

    def _warn_of_an_outlier(self, points: NDArray) -> None:
        squares = [np.nanmean(np.square(part.astype(np.float64) - self.offset_), axis=1) for part in parts(points)]
        sizes = np.concatenate(squares)
        if len(sizes) >= 10 and sizes.max() > 0.5 * sizes.sum():
            share = f"point {sizes.argmax()} alone holds {sizes.max() / sizes.sum():.1%} of the data's squared size"
            message = f"{share}, and shrinks all others; clip it or drop it."
            warnings.warn(message, OutlierWarning, stacklevel=callers_level())
