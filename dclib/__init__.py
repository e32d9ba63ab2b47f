"""Deep clustering, as the book derives it: data, methods, metrics, plots and results."""

from dclib.data import Dataset, load
from dclib.methods import DBC, DCN, DEC, DEN, DEPICT, IDEC, AutoencoderKMeans, AutoencoderSpectral

__version__ = "0.1.0"
__all__ = [
    "DBC",
    "DCN",
    "DEC",
    "DEN",
    "DEPICT",
    "IDEC",
    "AutoencoderKMeans",
    "AutoencoderSpectral",
    "Dataset",
    "__version__",
    "load",
]
