"""DBC, discriminatively boosted clustering: DEC on a convolutional autoencoder, with a target of any power.

Source: Li, Qiao, Zhang, "Discriminatively Boosted Image Clustering with Fully Convolutional Auto-Encoders",
arXiv 1703.07980.
"""

from collections.abc import Sequence
from numbers import Real
from typing import Any, ClassVar

from sklearn.utils._param_validation import Interval
from torch import Tensor, nn

from dclib.methods.dec import DEC
from dclib.networks import conv_autoencoder


def boosted_target(
    q: Tensor,
    power: float = 2.0,
    balance: bool = True,
    size: Tensor | None = None,
) -> Tensor:
    """Return r: q to a power, normalised; high entries gain and low ones lose.

    Parameters
    ----------
    q
        Soft assignments (n, K) of *all* points.
    power
        a, the exponent. At 1 nothing is boosted; the larger it is, the harder the target.
    balance
        Divide by the size of the cluster, the sum of its q, to the same power but one. With ``power=2`` this is
        DEC's target.
    size
        That sum over all points (K,), if ``q`` holds a part of them only.

    Returns
    -------
    Tensor
        r (n, K); each row sums to one.

    Notes
    -----
    Derived in :doc:`/notebooks/autoencoders/dbc`.
    """
    logits = power * q.log()  # (n, K); q.pow(power) could be too small for a float
    if balance:
        f = q.sum(dim=0) if size is None else size  # (K,)
        logits = logits - (power - 1) * f.log()
    return logits.softmax(dim=1)


class DBC(DEC):
    """Discriminatively boosted clustering (Li et al. 2017): DEC for images.

    The network is convolutional, with batch normalisation, and the target is q to a power. Targets and results are
    computed in evaluation mode, where a code does not depend on the other points of its mini-batch.

    Parameters
    ----------
    n_clusters
        K, the number of clusters.
    shape
        Height and width of the images, or channels, height and width. ``None``: as the points come; rows are no images,
        and their network is fully connected.
    hidden
        Channels of the encoder's convolutions, or widths of its layers. ``None``: channels (16, 32, 64) for images,
        widths (256, 256) for other points.
    power
        a, the power of the target. More than 2 changed nothing on digits that five seeds could show.
    balance
        Divide the target by cluster size, as DEC does; the paper's target is probably the one without. It helps groups
        of like size, by less than .01 of accuracy on digits, and moves border points of unequal ones to the smaller.
    batch_norm
        Normalise each channel before each ReLU. It speeds training up, and in training mode a code depends on the other
        points of its mini-batch.
    pretrain_epochs, epochs
        As in :class:`~dclib.methods.dec.DEC`, and shorter: a convolution costs more and needs fewer.
    **shared
        The parameters of :class:`~dclib.methods.dec.DEC`.

    The recipe of DBC's authors is not known to us. The profile ``"paper"`` is that of ConvDEC, the same idea, by Guo et
    al. (2018), whose figures stand beside ours; but all filters are 3 × 3, where ConvDEC's are 5 × 5, 5 × 5 and 3 × 3.
    It was never run for this book.

    Examples
    --------
    >>> from dclib import DBC, load
    >>> digits = load("digits")
    >>> model = DBC(10, shape=(8, 8), hidden=(8,), pretrain_epochs=2, epochs=2, random_state=0).fit(digits.x)
    >>> model.labels_.shape
    (1797,)
    """

    convolutional: ClassVar[bool] = True
    channels: ClassVar[tuple[int, ...]] = (16, 32, 64)
    profiles: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {"hidden": (8,)},
        "book": {"pretrain_steps": 1_000, "refine_steps": 800},
        "full": {"pretrain_steps": 6_000, "refine_steps": 2_000},
        "paper": {
            "hidden": (32, 64, 128),
            "batch_norm": False,
            "pretrain_epochs": 500,
            "pretrain_optimizer": "adam",
            "pretrain_lr": 1e-3,
            "optimizer": "adam",
            "lr": 1e-3,
        },
        "paper, usps": {"pretrain_epochs": 500},
    }
    first_phase: ClassVar[tuple[str, ...]] = ("batch_norm",)
    _parameter_constraints: ClassVar[dict[str, list]] = {
        "power": [Interval(Real, 1, None, closed="left")],
        "balance": ["boolean"],
        "batch_norm": ["boolean"],
    }

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        shape: Sequence[int] | None = None,
        hidden: Sequence[int] | None = None,
        power: float = 2.0,
        balance: bool = True,
        batch_norm: bool = True,
        pretrain_epochs: int = 10,
        epochs: int = 10,
        **shared: Any,
    ) -> None:
        lengths = {"pretrain_epochs": pretrain_epochs, "epochs": epochs}
        super().__init__(n_clusters, shape=shape, hidden=hidden, **lengths, **shared)
        self.power = power
        self.balance = balance
        self.batch_norm = batch_norm

    def build(self, n_features: int) -> nn.Module:
        """Return a convolutional autoencoder for images, a fully connected one for other points."""
        if self.network is not None or self._image_shape is None:
            return super().build(n_features)
        return conv_autoencoder(self._image_shape, self._widths, self.latent_dim, batch_norm=self.batch_norm)

    def target(self, q: Tensor, size: Tensor) -> Tensor:
        """Return the boosted target (n, K) of the soft assignments ``q`` (n, K) and the cluster sizes (K,)."""
        return boosted_target(q, self.power, self.balance, size)
