"""Recurrent autoencoder + k-means: a sequence is read to its end, and what is left in memory is its code.

Sources: Srivastava, Mansimov, Salakhutdinov, "Unsupervised Learning of Video Representations using LSTMs", ICML 2015;
Sutskever, Vinyals, Le, "Sequence to Sequence Learning with Neural Networks", NeurIPS 2014.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Self

from sklearn.utils._param_validation import StrOptions
from torch import nn

from dclib.base import COUNT, DeepClusterer
from dclib.data import Dataset
from dclib.recurrent import CELLS, recurrent_autoencoder

MOST_STEPS = 16  # windows of a sequence in :meth:`RecurrentAutoencoder.for_data`


class RecurrentAutoencoder(DeepClusterer):
    """Train an autoencoder that reads a sequence step by step, then cluster its codes.

    The encoder's state after the last step, made d wide by a linear layer, is the code; a second recurrent network
    writes the sequence from it. Sequences may be of unequal length: a list of arrays (T_i,) or (T_i, C), an array
    (n, T, C) that is NaN beyond the end of each, or a NumPy masked array. Rows (n, D) are taken as sequences of D steps
    with one channel. With ``start`` the codes are clustered otherwise than by k-means. For a second phase, give
    ``network="gru"`` to any method that has one, such as :class:`~dclib.methods.dec.DEC`.

    Parameters
    ----------
    n_clusters
        K, the number of clusters.
    cell
        ``"gru"`` or ``"lstm"``.
    backwards
        Whether the decoder writes the last step first.
    window
        Steps that are read, and written, at once: long sequences become shorter ones of more channels.
    hidden
        Widths of the encoder's recurrent layers; the decoder mirrors them.
    **shared
        The parameters of :class:`~dclib.base.DeepClusterer`.

    Notes
    -----
    Derived in :doc:`/notebooks/features/recurrent`.

    Examples
    --------
    >>> import numpy as np
    >>> from dclib import RecurrentAutoencoder
    >>> waves = [np.sin(np.arange(n) / (1 + n % 2)) for n in range(10, 40)]  # of unequal length
    >>> model = RecurrentAutoencoder(2, hidden=(16,), pretrain_epochs=2, random_state=0).fit(waves)
    >>> model.transform(waves).shape
    (30, 10)
    """

    keeps_shape: ClassVar[bool] = True
    ragged: ClassVar[bool] = True
    augmented: ClassVar[bool] = False
    wiring: ClassVar[str] = "last state, linear code"
    profiles: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {"hidden": (16,)},
        "book": {"pretrain_steps": 400},
        "full": {"pretrain_steps": 18_000, "batch_size": 64},
        "paper": {"hidden": (64,), "pretrain_optimizer": "adam", "pretrain_lr": 1e-3, "batch_size": 64},
    }
    first_phase: ClassVar[tuple[str, ...]] = ("cell", "backwards", "window")
    _parameter_constraints: ClassVar[dict[str, list]] = {
        "cell": [StrOptions(set(CELLS))],
        "backwards": ["boolean"],
        "window": [COUNT],
    }

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        cell: str = "gru",
        backwards: bool = True,
        window: int = 1,
        hidden: Sequence[int] = (64,),
        batch_size: int = 64,
        **shared: Any,
    ) -> None:
        super().__init__(n_clusters, hidden=hidden, batch_size=batch_size, **shared)
        self.cell = cell
        self.backwards = backwards
        self.window = window

    @classmethod
    def for_data(cls, data: Dataset, profile: str | None = None, **parameters: Any) -> Self:
        """Return the method set up for a data set, as its parent's; no sequence is read in more than 16 windows."""
        window = {"window": -(-data.shape[0] // MOST_STEPS)} if data.shape else {}
        return super().for_data(data, profile, **window | parameters)

    def build(self, n_features: int) -> nn.Module:
        """Return a recurrent autoencoder for sequences of the shape ``point_shape_``."""
        if self.network is not None:
            return super().build(n_features)
        how = {"cell": self.cell, "backwards": self.backwards, "window": self.window}
        return recurrent_autoencoder(self.point_shape_, self.hidden, self.latent_dim, **how)
