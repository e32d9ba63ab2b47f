"""The methods, one module each; ``METHODS`` maps the name that the command line uses to the class."""

from dclib.base import DeepClusterer
from dclib.methods.autoencoder_kmeans import AutoencoderKMeans
from dclib.methods.autoencoder_spectral import AutoencoderSpectral
from dclib.methods.dbc import DBC
from dclib.methods.dcn import DCN
from dclib.methods.dec import DEC
from dclib.methods.den import DEN
from dclib.methods.depict import DEPICT
from dclib.methods.idec import IDEC

METHODS: dict[str, type[DeepClusterer]] = {
    "autoencoder-kmeans": AutoencoderKMeans,
    "autoencoder-spectral": AutoencoderSpectral,
    "dec": DEC,
    "idec": IDEC,
    "dbc": DBC,
    "dcn": DCN,
    "depict": DEPICT,
    "den": DEN,
}

__all__ = ["DBC", "DCN", "DEC", "DEN", "DEPICT", "IDEC", "METHODS", "AutoencoderKMeans", "AutoencoderSpectral"]
