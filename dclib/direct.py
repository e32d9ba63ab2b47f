"""Methods without a reconstruction: one phase that trains features and clusters alike."""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from torch import Tensor, nn

from dclib.answers import Answers
from dclib.base import DeepClusterer
from dclib.networks import conv_features, mlp_features
from dclib.phases import Phase, Points
from dclib.training import at_least_single

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


class DirectClusterer(DeepClusterer):
    """A method of one phase: nothing is reconstructed, and no clusters are sought on the codes when it is over.

    A method says by ``representation_loss`` what it learns, and by ``seat`` which modules it needs beside the encoder.
    The phase is given by ``pretrain_epochs``, ``pretrain_lr``, ``pretrain_optimizer`` and ``pretrain_schedule``.

    Parameters
    ----------
    n_clusters
        K, the number of clusters.
    shape
        Height and width of the images, or channels, height and width, if the network shall be convolutional; ``None``:
        fully connected.
    hidden
        Channels of the convolutions, or widths of the layers before the features. ``None``: what fits the points.
    latent_dim
        d, the width of the features on which the network answers.
    **shared
        The parameters of :class:`~dclib.base.DeepClusterer`; ``start`` and ``n_init`` play no part, since no clusters
        are sought, and neither does ``reconstruct``.
    """

    wiring: ClassVar[str] = "batch norm and ReLU on every layer"
    seeks: ClassVar[bool] = False
    convolutional: ClassVar[bool] = True
    linear_code: ClassVar[bool] = False  # whether a linear layer follows the features
    channels: ClassVar[tuple[int, ...]] = (16, 32, 64)
    profiles: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {"hidden": (8,), "latent_dim": 16},
        "book": {"pretrain_steps": 2_000},
        "full": {"pretrain_steps": 20_000, "batch_size": 256},
    }

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        shape: Sequence[int] | None = None,
        hidden: Sequence[int] | None = None,
        latent_dim: int = 128,
        **shared: Any,
    ) -> None:
        super().__init__(n_clusters, shape=shape, hidden=hidden, latent_dim=latent_dim, **shared)

    @staticmethod
    def of_first_phase() -> set[str]:
        """Return the parameters of every such method that bear on its phase: K is one of them."""
        return {*DeepClusterer.of_first_phase(), "n_clusters"}

    def build(self, n_features: int) -> nn.Module:
        """Return a network that has an encoder."""
        if self.network is not None:
            return super().build(n_features)
        network = nn.Module()
        if self._image_shape is not None:
            network.encoder = conv_features(self._image_shape, self._widths, self.latent_dim)
        else:
            network.encoder = mlp_features(n_features, self._widths, self.latent_dim)
        if self.linear_code:
            network.encoder.append(nn.Linear(self.latent_dim, self.latent_dim))
        return network

    def needs_decoder(self) -> bool:
        """Return whether anything is reconstructed: nothing."""
        return False

    def phases(self, n: int) -> list[Phase]:
        """Return the one phase there is: the clusters are read, not sought afterwards."""
        return [self.pretraining()]

    def pretraining(self) -> Phase:
        """Return that phase: further modules are made when it begins."""
        return dataclasses.replace(super().pretraining(), begin=lambda x: self.seat(), before_epoch=self.look)

    def seat(self) -> None:
        """Make the modules that the method needs beside the encoder; by default none."""

    def look(self, x: Points) -> dict[str, float]:
        """Do what has to be done before an epoch, and return what its record should hold beside the losses."""
        raise NotImplementedError


class AnsweringClusterer(Answers, DirectClusterer):
    """A method whose network says which cluster a point belongs to: logits on its features.

    A method may say by ``n_answers`` how many logits there are, if not K, and by ``logits`` which of them count.

    Parameters
    ----------
    **shared
        The parameters of :class:`DirectClusterer`.
    """

    def seat(self) -> None:
        """Make the layer that answers."""
        self.install("answer", "new_answer", self.width_, self.n_answers)

    @property
    def n_answers(self) -> int:
        """How many logits the layer has: K."""
        return self.n_clusters

    def new_answer(self, width: int, n_out: int) -> nn.Module:
        """Return one linear layer on features."""
        return nn.Linear(width, n_out)

    def answers(self, z: Tensor) -> Tensor:
        """Return all logits (m, ``n_answers``) on features ``z`` (m, d)."""
        layer = self.network_.answer
        return at_least_single(layer(z.to(next(layer.parameters()).dtype)))

    def logits(self, z: Tensor) -> Tensor:
        """Return the logits (m, K) that decide the cluster, on features ``z`` (m, d)."""
        return self.answers(z)


@contextmanager
def still_statistics(network: nn.Module) -> Iterator[None]:
    """Leave the running means of batch normalisation as they are inside the block."""
    layers = [layer for layer in network.modules() if isinstance(layer, NORMS)]
    before = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, before, strict=True):
            layer.momentum = momentum
