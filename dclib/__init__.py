"""Deep clustering, as the book derives it: data, methods, metrics, plots and results."""

from dclib.data import Dataset, load
from dclib.methods import DEC, AutoencoderKMeans

__version__ = "0.1.0"
__all__ = ["DEC", "AutoencoderKMeans", "Dataset", "__version__", "load"]
