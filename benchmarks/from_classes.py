"""Where a loss wants to be: a network that was taught the classes goes on with the method's own loss.

The labels are read, so this is a diagnosis and no row of any table. If the loss is above that of a run from random
weights after as many epochs, then the loss gives no reason to prefer the classes.
"""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from benchmarks.common import ROOT
from dclib import provenance
from dclib.curves import Curve
from dclib.data import Dataset, load
from dclib.direct import AnsweringClusterer
from dclib.methods import METHODS
from dclib.phases import Phase, Points, adam
from dclib.profiles import PROFILES
from dclib.training import PRECISIONS, batches, descend, pick_device

CURVES = ROOT / "book" / "results" / "curves"
TAUGHT = {"epochs": 2, "lr": 1e-3, "batch_size": 250}


def taught(method: type[AnsweringClusterer], y: Any) -> type[AnsweringClusterer]:
    """Return the method, but with a network that learns the classes ``y`` (n,) before its own phase begins."""

    class Taught(method):
        def pretraining(self) -> Phase:
            phase = super().pretraining()

            def begin(x: Points) -> None:
                phase.begin(x)
                self.teach(x)

            return dataclasses.replace(phase, begin=begin)

        def teach(self, x: Points) -> None:
            points, classes = x[:], torch.as_tensor(y, device=x.device).long()
            mover = adam([*self.network_.parameters()], TAUGHT["lr"])
            self.network_.train()
            for _ in range(TAUGHT["epochs"]):
                for index in batches(len(points), TAUGHT["batch_size"]):
                    descend(self.taught_loss(points[index], classes[index]), mover)

        def taught_loss(self, x: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
            n_heads = getattr(self, "n_heads", 1)  # each of IIC's heads learns the classes
            logits = self.answers(self.encode(x))[:, : n_heads * self.n_clusters].unflatten(1, (n_heads, -1))
            return cross_entropy(logits.flatten(0, 1), classes.repeat_interleave(n_heads))

    Taught.__name__ = method.__name__
    return Taught


def measure(name: str, data: Dataset, seed: int, profile: str = "paper", **parameters: Any) -> dict[str, Any]:
    """Train from the classes by a profile, and return the curve."""
    watch = Curve(data.x, data.y)
    model = taught(METHODS[name], data.y).for_data(data, profile, random_state=seed, callback=watch, **parameters)
    model.fit(data.x)
    return {
        "method": name,
        "data": data.name,
        "profile": profile,
        "from": "the classes: a diagnosis, no row",
        "taught": TAUGHT,
        "seed": seed,
        "n": len(data),
        "parameters": parameters,
        **provenance.surroundings(pick_device("cpu")),
        "curve": watch.found,
    }


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.from_classes", description=__doc__)
    parser.add_argument("method", choices=[key for key, of in METHODS.items() if issubclass(of, AnsweringClusterer)])
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--profile", choices=PROFILES, default="paper")
    parser.add_argument("--epochs", type=int, help="default: the profile's")
    parser.add_argument("--precision", choices=PRECISIONS, default="auto")
    parser.add_argument("--out", type=Path, default=CURVES)
    args = parser.parse_args()
    how = {"precision": args.precision} | ({"pretrain_epochs": args.epochs} if args.epochs else {})
    found = measure(args.method, load(args.data), args.seed, args.profile, **how)
    path = args.out / f"{args.method}-{args.data}-from-classes.json"
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
