"""The methods, one module each; ``METHODS`` maps the name that the command line uses to the class."""

from dclib.base import DeepClusterer
from dclib.methods.autoencoder_kmeans import AutoencoderKMeans
from dclib.methods.autoencoder_spectral import AutoencoderSpectral
from dclib.methods.clustergan import ClusterGAN
from dclib.methods.dac import DAC
from dclib.methods.dbc import DBC
from dclib.methods.dcn import DCN
from dclib.methods.dec import DEC
from dclib.methods.deepcluster import DeepCluster
from dclib.methods.den import DEN
from dclib.methods.depict import DEPICT
from dclib.methods.dtc import DTC
from dclib.methods.gan_features import GANFeatures
from dclib.methods.idec import IDEC
from dclib.methods.iic import IIC
from dclib.methods.imsat import IMSAT
from dclib.methods.infogan import InfoGAN
from dclib.methods.jule import JULE
from dclib.methods.recurrent_autoencoder import RecurrentAutoencoder
from dclib.methods.sc_deep_cluster import SCDeepCluster
from dclib.methods.vade import VaDE
from dclib.methods.vae import VAE

METHODS: dict[str, type[DeepClusterer]] = {
    "autoencoder-kmeans": AutoencoderKMeans,
    "autoencoder-spectral": AutoencoderSpectral,
    "dec": DEC,
    "idec": IDEC,
    "dbc": DBC,
    "dcn": DCN,
    "depict": DEPICT,
    "den": DEN,
    "vae": VAE,
    "vade": VaDE,
    "gan-features": GANFeatures,
    "infogan": InfoGAN,
    "clustergan": ClusterGAN,
    "jule": JULE,
    "dac": DAC,
    "imsat": IMSAT,
    "iic": IIC,
    "deepcluster": DeepCluster,
    "recurrent-autoencoder": RecurrentAutoencoder,
    "dtc": DTC,
    "sc-deep-cluster": SCDeepCluster,
}

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
    "METHODS",
    "VAE",
    "AutoencoderKMeans",
    "AutoencoderSpectral",
    "ClusterGAN",
    "DeepCluster",
    "GANFeatures",
    "InfoGAN",
    "RecurrentAutoencoder",
    "SCDeepCluster",
    "VaDE",
]
