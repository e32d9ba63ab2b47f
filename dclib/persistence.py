"""Estimators as files: a checkpoint while one trains, its whole state after that; no pickle in either."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from dclib import parallel, store
from dclib.augment import RandomAffine
from dclib.points import fingerprint
from dclib.training import fixed_linear, pick_device

UNSTORED = ("callback", "checkpoint", "device", "network", "verbose")  # say where and how to run, not what comes out
FOUND = ("labels_", "history_", "scale_", "seed_", "seconds_", "n_features_in_", "feature_names_in_")


def _plain(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return parameters as a file can hold them: a data class of dclib by name and fields, other objects by name."""

    def plain(value: Any) -> Any:
        if isinstance(value, RandomAffine):
            return {"RandomAffine": asdict(value)}
        if isinstance(value, list | tuple):
            return type(value)(plain(item) for item in value)
        known = value is None or isinstance(value, bool | int | float | str | np.generic)
        return value if known else {"other": f"{type(value).__module__}.{type(value).__qualname__}"}

    return {name: plain(value) for name, value in parameters.items()}


def _unplain(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return parameters from their stored form; an object that only has a name becomes ``None``."""

    def restored(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return RandomAffine(**value["RandomAffine"]) if "RandomAffine" in value else None

    return {name: restored(value) for name, value in parameters.items()}


class Persistent:
    """What an estimator needs to be written to a file and read back, trained or half trained."""

    def save(self, path: str | Path) -> Path:
        """Write the fitted estimator to ``path``, as arrays and JSON, without pickle; :meth:`load` reads it.

        Where and how to run (``device``, ``callback``, ``verbose``, ``checkpoint``) is not stored.
        """
        check_is_fitted(self, "network_")
        found = {name: getattr(self, name) for name in FOUND if hasattr(self, name)}
        if "feature_names_in_" in found:
            found["feature_names_in_"] = [str(name) for name in found["feature_names_in_"]]
        state = {"network": self.network_.state_dict(), "white": self._place["white"]}
        return store.write(
            path, "estimator", self._identity() | {"found": found, "own": self.network is not None} | state
        )

    @classmethod
    def load(cls, path: str | Path, network: nn.Module | None = None) -> Self:
        """Read an estimator that :meth:`save` wrote.

        Parameters
        ----------
        path
            The file.
        network
            A module like the one that was passed as ``network``, if one was. Its weights are read from the file.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is damaged, cut short, of another kind or class, or from a newer version of dclib.
        """
        content = store.read(path, "estimator")
        model = cls._class_named(content["class"], path)(**_unplain(content["parameters"]), network=network)
        if content["own"] and network is None:
            raise ValueError(f"{path} was fitted on a network of its own; pass one like it: load(path, network=…).")
        for name, value in content["found"].items():
            setattr(model, name, value.numpy() if isinstance(value, Tensor) else value)
        if hasattr(model, "feature_names_in_"):
            model.feature_names_in_ = np.array(model.feature_names_in_, dtype=object)
        model._place = {"white": False}
        model.network_ = model.build(model.n_features_in_)
        model._set_state(content["network"], content["white"])
        model.network_.to(pick_device(model.device)).eval()
        return model

    @classmethod
    def _class_named(cls, name: str, path: str | Path) -> type[Self]:
        """Return ``cls`` or its subclass ``name``."""
        family, todo = {}, [cls]
        while todo:
            found = todo.pop()
            family[found.__name__] = found
            todo += found.__subclasses__()
        if name not in family:
            raise ValueError(f"{path} holds a {name}, not a {cls.__name__}.")
        return family[name]

    def _identity(self) -> dict[str, Any]:
        """Return what decides the result of ``fit``, the data aside."""
        chosen = {name: value for name, value in self.get_params(deep=False).items() if name not in UNSTORED}
        return {"class": type(self).__name__, "parameters": _plain(chosen)}

    def _set_state(self, state: dict[str, Tensor], white: bool) -> None:
        """Give the network the shape it had in training (white code, centroids) and then its values."""
        network, device = self.network_, next(self.network_.parameters()).device
        if white:
            width = state["encoder.1.weight"].shape[0]
            after, before = (fixed_linear(torch.eye(width), torch.zeros(width)).to(device) for _ in range(2))
            network.encoder = nn.Sequential(network.encoder, after)
            network.decoder = nn.Sequential(before, network.decoder)
        known = network.state_dict().keys()
        for name in [name for name in state if name not in known]:  # in their order: the optimiser goes by it
            network.register_parameter(name, nn.Parameter(torch.empty_like(state[name], device=device)))
        network.load_state_dict(state)
        self._place["white"] = white

    def _save_checkpoint(self) -> None:
        if self.checkpoint is None or parallel.rank():
            return
        training = {name: getattr(self, f"_{name}") for name in ("optimizer", "schedule")}
        store.write(
            self.checkpoint,
            "checkpoint",
            {
                "run": self._of_run,
                "seed": self.seed_,
                "place": self._place,
                "network": self.network_.state_dict(),
                "training": {name: part and part.state_dict() for name, part in training.items()},
                "random": [torch.get_rng_state(), *torch.cuda.get_rng_state_all()],
                "labels": getattr(self, "labels_", None),
                "history": self.history_,
                "seconds": time.perf_counter() - self._began,
            },
        )

    def _open_checkpoint(self, points: NDArray) -> dict[str, Any] | None:
        """Return what a broken run left behind, or ``None``; refuse what another run left."""
        if self.checkpoint is None:
            return None
        self._of_run = self._identity() | {"data": fingerprint(points)}
        if not Path(self.checkpoint).exists():
            return None
        saved = store.read(self.checkpoint, "checkpoint")
        theirs, ours = ({**run, **run["parameters"]} for run in (saved["run"], self._of_run))
        for name in sorted(ours.keys() - {"parameters"}):
            if theirs.get(name) != ours[name]:
                here = f"its {name} is {theirs.get(name)!r}, and here it is {ours[name]!r}"
                raise ValueError(f"checkpoint {self.checkpoint} is of another run: {here}; remove it or name another.")
        return saved

    def _close_checkpoint(self) -> None:
        if self.checkpoint is not None and not parallel.rank():
            Path(self.checkpoint).unlink(missing_ok=True)

    def _restore(self, saved: dict[str, Any]) -> None:
        """Take up a run where its checkpoint left it."""
        self._place = dict(saved["place"])
        self._set_state(saved["network"], self._place["white"])
        self._resume = saved["training"] if saved["training"]["optimizer"] else None
        self.history_ = saved["history"]
        if saved["labels"] is not None:
            self.labels_ = saved["labels"].numpy()
        torch.set_rng_state(saved["random"][0])
        torch.cuda.set_rng_state_all(saved["random"][1:])
