"""Autoencoder + k-means: learn a code first, then cluster it; the baseline that every joint method must beat."""

from dclib.base import DeepClusterer


class AutoencoderKMeans(DeepClusterer):
    """Train an autoencoder to reconstruct, then run k-means on its codes.

    Nothing in the first step knows that the second will come: L = L_R, and L_C is absent. This is also the start of
    :class:`~dclib.methods.dec.DEC`, so with the same settings and ``random_state`` the two share their network up to
    that point.

    Parameters
    ----------
    n_clusters
        K, the number of clusters.
    **shared
        The parameters of :class:`~dclib.base.DeepClusterer`.

    The profile ``"paper"`` is the recipe of DEC-keras (Guo 2020). SGD has a rate of 0.1 on inputs of unit mean square,
    for their 1 on pixels from 0 to 1; on USPS the weights start as PyTorch has them, for Glorot's.

    Notes
    -----
    Derived in :doc:`/notebooks/autoencoders/autoencoder_kmeans`.

    Examples
    --------
    >>> from dclib import AutoencoderKMeans, load
    >>> digits = load("digits")
    >>> model = AutoencoderKMeans(10, hidden=(64,), pretrain_epochs=2, random_state=0).fit(digits.x)
    >>> model.labels_.shape
    (1797,)
    """
