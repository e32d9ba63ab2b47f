"""Methods of two players: a generator that draws points, and a critic that tells them from the data."""

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from dclib.base import POSITIVE
from dclib.generating import GeneratingClusterer
from dclib.phases import OPTIMIZERS, SCHEDULES, Batch, Phase, Points, Update, update
from dclib.players import conv_critic, conv_generator, mlp_critic, mlp_generator


class AdversarialClusterer(GeneratingClusterer):
    """A method whose first phase is a game of two players, in turns.

    Beside what :class:`~dclib.generating.GeneratingClusterer` asks for, a method says

    - ``seat``: which modules it needs beside the encoder, by :meth:`~dclib.base.DeepClusterer.install`,
    - ``critic_loss`` and ``generator_loss``: what the two minimise,
    - ``critic`` and ``drawing``: the names of the parts that each of the two moves.

    The first phase is given by ``pretrain_epochs``, ``pretrain_optimizer`` and ``pretrain_schedule``.

    Parameters
    ----------
    shape
        Height and width of the images, or channels, height and width. ``None``: as the points come; rows are no images,
        and their networks are fully connected.
    hidden
        Channels of the convolutions, or widths of the layers; the generator mirrors them. ``None``: channels (16, 32)
        for images, widths (256, 256) for other points.
    pretrain_lr
        Learning rate of the critic.
    generator_lr
        Learning rate of the generator.
    **shared
        The parameters of :class:`~dclib.base.DeepClusterer`.
    """

    wiring: ClassVar[str] = "leaky ReLU; the generator mirrors it, with ReLU and batch norm"
    convolutional: ClassVar[bool] = True
    channels: ClassVar[tuple[int, ...]] = (16, 32)
    first_phase: ClassVar[tuple[str, ...]] = ("generator_lr",)
    critic: ClassVar[tuple[str, ...]] = ("encoder", "head")
    drawing: ClassVar[tuple[str, ...]] = ("generator",)
    critic_norm: bool | None = False  # a parameter of methods that may have it
    every: ClassVar[int] = 1  # steps of the critic for one of the generator
    profiles: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {"hidden": (8,), "latent_dim": 16},
        "book": {"pretrain_steps": 2_000},
        "full": {"pretrain_steps": 10_000, "batch_size": 128},
        "paper": {
            "hidden": (64, 128),
            "latent_dim": 1024,
            "pretrain_steps": 5_000,
            "pretrain_lr": 2e-4,
            "pretrain_optimizer": "adam_half",
            "batch_size": 128,
        },
    }
    _parameter_constraints: ClassVar[dict[str, list]] = {"generator_lr": [POSITIVE]}

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        shape: Sequence[int] | None = None,
        hidden: Sequence[int] | None = None,
        pretrain_lr: float = 2e-4,
        generator_lr: float = 1e-3,
        pretrain_optimizer: str = "adam_half",
        pretrain_schedule: str = "constant",
        **shared: Any,
    ) -> None:
        how = {"pretrain_lr": pretrain_lr, "pretrain_optimizer": pretrain_optimizer}
        super().__init__(n_clusters, shape=shape, hidden=hidden, pretrain_schedule=pretrain_schedule, **how, **shared)
        self.generator_lr = generator_lr

    # -- the players --------------------------------------------------------------------------------------------------

    def build(self, n_features: int) -> nn.Module:
        """Return a network that has an encoder: the critic's layers up to its features."""
        if self.network is not None:
            return super().build(n_features)
        network = nn.Module()
        network.encoder = self.looking(self.latent_dim)
        return network

    def looking(self, width: int) -> nn.Sequential:
        """Return layers that look at a point, up to ``width`` features."""
        if self._image_shape is not None:
            return conv_critic(self._image_shape, self._widths, width, self.normed)
        return mlp_critic(self.n_features_in_, self._widths, width, self.normed)

    @property
    def normed(self) -> bool:
        """Whether the critic has batch normalisation: as ``critic_norm`` says, or else with images."""
        return self._image_shape is not None if self.critic_norm is None else self.critic_norm

    def new_generator(self, n_latent: int) -> nn.Module:
        """Return a generator of latent points of ``n_latent`` values."""
        if self._image_shape is not None:
            return conv_generator(n_latent, self._image_shape, self._widths)
        return mlp_generator(n_latent, self._widths, self.n_features_in_)

    def new_head(self, width: int, n_out: int) -> nn.Module:
        """Return one linear layer on features."""
        return nn.Linear(width, n_out)

    def needs_decoder(self) -> bool:
        """Return whether anything is reconstructed: nothing."""
        return False

    def seat(self) -> None:
        """Make the modules of the game that the network does not have yet."""
        raise NotImplementedError

    # -- the game -----------------------------------------------------------------------------------------------------

    def pretraining(self) -> Phase:
        """Return the first phase: in each step the critic moves, and in every so many the generator after it."""
        return Phase(
            "pretrain", self.pretrain_epochs, self.moves(), begin=lambda x: self.seat(), before_epoch=self.look
        )

    def moves(self) -> tuple[Update, ...]:
        """Return the moves of the two players, in their order."""
        how = {"optimizer": OPTIMIZERS[self.pretrain_optimizer], "schedule": SCHEDULES[self.pretrain_schedule]}
        critic = update(self.critic_loss, self.pretrain_lr, *self.critic, **how)
        return critic, update(self.generator_loss, self.generator_lr, *self.drawing, every=self.every, **how)

    def look(self, x: Points) -> dict[str, float] | None:
        """Return what the record of an epoch should hold beside the losses; by default nothing."""

    def critic_loss(self, batch: Batch) -> Tensor:
        """Return what the critic minimises."""
        raise NotImplementedError

    def generator_loss(self, batch: Batch) -> Tensor:
        """Return what the generator minimises."""
        raise NotImplementedError

    def representation_loss(self, batch: Batch) -> Tensor:
        """Return the critic's loss, which trains the encoder."""
        return self.critic_loss(batch)

    def latents_for(self, batch: Batch) -> Tensor:
        """Return as many latent points as a mini-batch has points."""
        return batch.drawn(lambda n: self.draw_latents(n, None))

    def generate(self, latents: Tensor) -> Tensor:
        """Return points (m, …) in the network's unit, within the range of the data."""
        drawn = self.network_.generator(latents).float().sigmoid()
        return self.from_unit(drawn).reshape(len(latents), *self.point_shape_)

    def verdict(self, x: Tensor) -> Tensor:
        """Return the critic's score (m,) of points ``x`` (m, …): the more, the more it takes them for data."""
        return self.network_.head(self.network_.encoder(x)).float()[:, 0]
