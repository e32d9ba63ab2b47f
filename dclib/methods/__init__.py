"""The methods, one module each; ``METHODS`` maps the name that the command line uses to the class."""

from dclib.base import DeepClusterer
from dclib.methods.autoencoder_kmeans import AutoencoderKMeans
from dclib.methods.dec import DEC

METHODS: dict[str, type[DeepClusterer]] = {"autoencoder-kmeans": AutoencoderKMeans, "dec": DEC}

__all__ = ["DEC", "METHODS", "AutoencoderKMeans"]
