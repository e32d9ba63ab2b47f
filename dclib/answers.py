"""Clusters that a network answers: read off its logits, and not sought."""

import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from dclib.phases import Points
from dclib.training import effective_number, in_batches, in_parts


class Answers:
    """What every method has whose network says which cluster a point belongs to; beside a clusterer.

    A method says by ``logits`` what its network answers.

    Attributes
    ----------
    history_ : list of dict
        Of each epoch also ``used``: exp of the entropy of the clusters of the data. Far below K: clusters have died.
    """

    def logits(self, z: Tensor) -> Tensor:
        """Return the logits (m, K) that decide the cluster, on features ``z`` (m, d)."""
        raise NotImplementedError

    def assign(self, z: Tensor) -> Tensor:
        """Return the cluster (n,) that the network answers on features ``z`` (n, d)."""
        return in_parts(lambda part: self.logits(part).argmax(dim=1), z)

    @torch.no_grad()
    def predict_proba(self, X: ArrayLike) -> NDArray:
        """Return the answers p(y | x) (n, K) for the points ``X`` (n, …)."""
        z = self._codes(self._validated(X))
        return in_parts(lambda part: self.logits(part).softmax(dim=1), z).cpu().numpy()

    @torch.no_grad()
    def look(self, x: Points) -> dict[str, float]:
        """Return how many clusters of equal size would be as even as those of the data now."""
        labels = in_batches(lambda part: self.assign(self.encode(part)), x)
        return {"used": effective_number(self._sizes(labels.cpu().numpy(), self.n_clusters))}
