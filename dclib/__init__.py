"""Deep clustering, as the book derives it: data, methods, metrics, plots and results.

Names are imported when they are first asked for: ``import dclib`` and the command's help do not wait for PyTorch.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dclib.data import Dataset, load
    from dclib.features import PretrainedFeatures
    from dclib.methods import (
        DAC,
        DBC,
        DCN,
        DEC,
        DEN,
        DEPICT,
        DTC,
        IDEC,
        IIC,
        IMSAT,
        JULE,
        VAE,
        AutoencoderKMeans,
        AutoencoderSpectral,
        ClusterGAN,
        DeepCluster,
        GANFeatures,
        InfoGAN,
        RecurrentAutoencoder,
        SCDeepCluster,
        VaDE,
    )

__version__ = "0.2.0"
__all__ = [
    "DAC",
    "DBC",
    "DCN",
    "DEC",
    "DEN",
    "DEPICT",
    "DTC",
    "IDEC",
    "IIC",
    "IMSAT",
    "JULE",
    "VAE",
    "AutoencoderKMeans",
    "AutoencoderSpectral",
    "ClusterGAN",
    "Dataset",
    "DeepCluster",
    "GANFeatures",
    "InfoGAN",
    "PretrainedFeatures",
    "RecurrentAutoencoder",
    "SCDeepCluster",
    "VaDE",
    "__version__",
    "load",
]
HOMES = {"Dataset": "dclib.data", "load": "dclib.data", "PretrainedFeatures": "dclib.features"}  # the others: methods


def __getattr__(name: str) -> Any:
    """Return a name of ``__all__`` from its home, or a module of the package."""
    if name in __all__:
        value = getattr(import_module(HOMES.get(name, "dclib.methods")), name)
        return globals().setdefault(name, value)
    if not name.startswith("_") and find_spec(f"{__name__}.{name}"):
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the names of the package, those not yet imported among them."""
    return sorted({*globals(), *__all__})
