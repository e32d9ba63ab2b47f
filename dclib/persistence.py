"""Estimators as files: a checkpoint while one trains, its whole state after that; no pickle in either."""

import hashlib
import json
import time
from collections.abc import Sequence
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
from dclib.engine import Engine
from dclib.points import fingerprint
from dclib.provenance import own_version
from dclib.training import pick_device, placed

# They say where and how to run, not what comes out.
UNSTORED = ("callback", "checkpoint", "device", "network", "pretrained", "verbose")
HOOKS = ("build", "pretraining", "representation_loss", "code", "encode")  # what the first phase is made of


def _plain(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return parameters as a file can hold them: a data class of dclib by name and fields, other objects by name."""

    def plain(value: Any) -> Any:
        if type(value) is RandomAffine:
            return {"RandomAffine": asdict(value)}
        if isinstance(value, list | np.ndarray | range):
            return [plain(item) for item in value]
        if isinstance(value, tuple):
            return tuple(plain(item) for item in value)
        value = value.item() if isinstance(value, np.generic) else value
        known = value is None or isinstance(value, bool | int | float | str)
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
        check_is_fitted(self)
        found = {"found": self._found(), "tensors": self._tensors()}
        content = found | {"own": isinstance(self.network, nn.Module), "network": self._network_state()}
        return store.write(path, "estimator", self._identity() | content)

    def _found(self) -> dict[str, Any]:
        """Return the fitted attributes: whatever ends with an underscore, the network aside."""
        found = {k: v for k, v in vars(self).items() if k.endswith("_") and not k.startswith("_") and k != "network_"}
        if "feature_names_in_" in found:
            found["feature_names_in_"] = [str(name) for name in found["feature_names_in_"]]
        return found

    def _tensors(self) -> list[str]:
        """Return the names of the fitted attributes that are tensors: a file holds them and arrays alike."""
        return [name for name, value in self._found().items() if isinstance(value, Tensor)]

    def _take(self, found: dict[str, Any], tensors: Sequence[str] = ()) -> None:
        """Set the fitted attributes that :meth:`_found` and :meth:`_tensors` returned."""
        for name, value in found.items():
            setattr(self, name, value.numpy() if isinstance(value, Tensor) and name not in tensors else value)
        if "feature_names_in_" in found:
            self.feature_names_in_ = np.array(found["feature_names_in_"], dtype=object)

    def _network_state(self) -> dict[str, Any]:
        """Return the network's values, and what tells a buffer and a fixed parameter from a trained one."""
        network = self.network_
        return {
            "values": network.state_dict(),
            "buffers": [name for name, _ in network.named_buffers()],
            "fixed": [name for name, value in network.named_parameters() if not value.requires_grad],
        }

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
        own = {} if network is None else {"network": network}  # a subclass may have no such parameter
        model = cls._class_named(content["class"], path)(**_unplain(content["parameters"]), **own)
        if content["own"] and not isinstance(model.network, nn.Module):
            raise ValueError(f"{path} was fitted on a network of its own; pass one like it: load(path, network=…).")
        model._take(content["found"], content.get("tensors", ()))
        model.network_ = model.build(model.n_features_in_)
        model._set_network(content["network"])
        placed(model.network_, pick_device(model.device)).eval()
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
        chosen |= {"network": self.network} if isinstance(self.network, str) else {}
        return {"class": type(self).__name__, "parameters": _plain(chosen)}

    def _set_network(self, found: dict[str, Any]) -> None:
        """Give the network the parts that it had, and then its values.

        Parts come and go in training: modules that were installed, centroids.
        """
        network, state = self.network_, found["values"]
        device = self._network_device()
        for name, (maker, *arguments) in self.installed_.items():
            self.install(name, maker, *arguments)
        for name, _ in [*network.named_children()]:
            if not any(key.startswith(f"{name}.") for key in state) and [*network.get_submodule(name).parameters()]:
                delattr(network, name)
        own = network.state_dict()
        for name in [name for name in state if name not in own or own[name].shape != state[name].shape]:
            value = torch.empty_like(state[name], device=device)  # in their order: the optimiser goes by it
            parent, _, leaf = name.rpartition(".")
            if name in found["buffers"]:
                network.get_submodule(parent).register_buffer(leaf, value)
            else:
                network.get_submodule(parent).register_parameter(leaf, nn.Parameter(value, requires_grad=False))
        network.load_state_dict(state)
        for name, value in network.named_parameters():
            value.requires_grad_(name not in found["fixed"])

    def _save_checkpoint(self, engine: Engine) -> None:
        """Write what a broken run needs to go on; of several processes, the first writes for all."""
        if self.checkpoint is not None:
            self._write_state(self.checkpoint, engine, self._of_run)

    def _write_state(self, path: str | Path, engine: Engine, run: dict[str, Any]) -> None:
        each = {"random": parallel.everyones(torch.get_rng_state())}
        if engine.x.device.type == "cuda":
            each["cuda"] = parallel.everyones(torch.cuda.get_rng_state(engine.x.device))
        found = self._found()
        for name in sorted(found.keys() & {*self.of_points}) if parallel.is_split() else ():
            found[name] = parallel.all_rows(torch.as_tensor(found[name]))
        content = {
            "run": run,
            "seed": self.seed_,
            "engine": engine.state(),
            "network": self._network_state(),
            "found": found,
            "tensors": self._tensors(),
            **each,
            "seconds": time.perf_counter() - self._began,
        }
        if not parallel.rank():
            store.write(path, "checkpoint", content)

    def _first_phase(self, data: str, device: torch.device) -> dict[str, Any] | None:
        """Return what decides the first phase; ``None`` if it can't be told, as with code from elsewhere."""
        hooks = [getattr(self, name) for name in HOOKS]
        names = sorted({*self.of_first_phase(), *self.first_phase} - {*UNSTORED})
        names += ["network"] if isinstance(self.network, str) else []
        parameters = _plain({name: getattr(self, name) for name in names})
        told = all(code.__module__.split(".")[0] == "dclib" for code in (type(self), *hooks))
        told &= not any(isinstance(value, dict) and "other" in value for value in parameters.values())
        if not told or self.random_state is None or isinstance(self.network, nn.Module) or parallel.is_split():
            return None
        return {
            "hooks": [hook.__qualname__ for hook in hooks],
            "parameters": parameters | {"random_state": self.seed_},
            "data": data,
            "device": device.type,
            "processes": parallel.n_processes(),
            "dclib": own_version(),
        }

    def _open_pretrained(self, points: NDArray, device: torch.device) -> dict[str, Any] | None:
        """Return the state after a first phase like this one's, or ``None`` if none is kept."""
        self._kept = None
        run = self._first_phase(fingerprint(points), device) if self.pretrained is not None else None
        if run is None:
            return None
        name = hashlib.sha256(json.dumps(run, sort_keys=True).encode()).hexdigest()[:32]
        self._kept = Path(self.pretrained) / f"{name}.dclib", run
        content = parallel.file_from_first(self._kept[0])
        return None if content is None else store.read(self._kept[0], "checkpoint", content)

    def _keep_first_phase(self, engine: Engine) -> None:
        """Keep the state after the first phase, if that is wanted."""
        if self._kept is not None:
            self._write_state(self._kept[0], engine, self._kept[1])

    def _open_checkpoint(self, points: NDArray) -> dict[str, Any] | None:
        """Return what a broken run left behind, or ``None``; refuse what another run left.

        Of several processes, the first looks and tells the others, whose disks may be others.
        """
        if self.checkpoint is None:
            return None
        mine = torch.tensor([*fingerprint(points).encode()])
        prints = [bytes(row.tolist()).decode() for row in parallel.everyones(mine)]
        self._of_run = self._identity() | {"data": ",".join(prints) if parallel.is_split() else prints[0]}
        content = parallel.file_from_first(self.checkpoint)
        if content is None:
            return None
        saved = store.read(self.checkpoint, "checkpoint", content)
        theirs, ours = ({**run, **run["parameters"]} for run in (saved["run"], self._of_run))
        for name in sorted(ours.keys() - {"parameters"}):
            if theirs.get(name) != ours[name]:
                here = f"its {name} is {theirs.get(name)!r}, and here it is {ours[name]!r}"
                raise ValueError(f"checkpoint {self.checkpoint} is of another run: {here}; remove it or name another.")
        return saved

    def _close_checkpoint(self) -> None:
        if self.checkpoint is not None and not parallel.rank():
            Path(self.checkpoint).unlink(missing_ok=True)

    def _restore(self, saved: dict[str, Any], engine: Engine) -> None:
        """Take up a run where its checkpoint left it."""
        found = {name: value for name, value in saved["found"].items() if name != "feature_names_in_"}  # X's own
        self._take(found, saved.get("tensors", ()))
        for name in self.of_points if parallel.is_split() else ():
            if name in saved["found"]:
                setattr(self, name, parallel.own_rows(saved["found"][name], len(engine.x)).numpy())
        self._set_network(saved["network"])
        engine.resume(saved["engine"])
        mine = parallel.rank() if len(saved["random"]) == parallel.n_processes() else 0
        torch.set_rng_state(saved["random"][mine])
        if "cuda" in saved and engine.x.device.type == "cuda":
            torch.cuda.set_rng_state(saved["cuda"][mine], engine.x.device)
