"""Several processes, one answer: PyTorch's DistributedDataParallel, and the few sums that have to be global.

Launched with ``torchrun --nproc-per-node 2 -m dclib run dec …``; one process alone passes through untouched. There are
two ways to share the points:

- **whole** (the default): every process can read all points, e.g. from one memory map. The first one decides the order;
  each works on its share of every mini-batch and of every pass, and what was computed of a pass is gathered. The answer
  is that of one process, up to rounding.
- **split**: each process holds rows of its own and nothing of the others'. It draws its part of every mini-batch from
  them; sums over points (cluster sizes, covariances, k-means) are added up, and nothing as long as the data is sent.

Machines need share no disk: what the first process reads, it tells the others.
"""

import inspect
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

_options = inspect.signature(DistributedDataParallel).parameters
OWN_BUFFERS = "forward_sync_buffers" if "forward_sync_buffers" in _options else "broadcast_buffers"  # older PyTorch
_together = False  # whether work is shared at this moment: only inside ``together()``
_split = False  # whether each process then holds its own rows


@contextmanager
def together(split: bool = False) -> Iterator[None]:
    """Share the work inside the block, if ``torchrun`` started more than one process.

    Parameters
    ----------
    split
        Whether each process holds rows of its own.
    """
    global _together, _split
    join()
    before = _together, _split
    _together = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
    _split = _together and split
    try:
        yield
    finally:
        _together, _split = before


@contextmanager
def alone() -> Iterator[None]:
    """Work in this process only inside the block, and wait for no other."""
    global _together, _split
    before = _together, _split
    _together = _split = False
    try:
        yield
    finally:
        _together, _split = before


def join() -> None:
    """Enter the group of processes, if ``torchrun`` started more than one."""
    if n_launched() > 1 and not dist.is_initialized():
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")


def finish() -> None:
    """Leave the group of processes, if there is one."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def n_launched() -> int:
    """Return how many processes ``torchrun`` started, 1 without it."""
    return int(os.environ.get("WORLD_SIZE", 1))


def rank() -> int:
    """Return the number of this process, 0 for the first or only one."""
    return int(os.environ.get("RANK", 0))


def n_processes() -> int:
    """Return how many processes share the work at this moment."""
    return dist.get_world_size() if _together else 1


def is_split() -> bool:
    """Return whether each process holds rows of its own at this moment."""
    return _split


def my_rows(n: int) -> slice:
    """Return the rows of ``n`` that fall to this process when the data is split: ``x[parallel.my_rows(len(x))]``."""
    sizes = [len(part) for part in torch.arange(n).tensor_split(n_launched())]
    start = sum(sizes[: rank()])
    return slice(start, start + sizes[rank()])


# -- what the others are told ---------------------------------------------------------------------------------------


def from_first(value: Tensor) -> Tensor:
    """Return the first process's ``value`` in every process; the shapes have to agree."""
    if _together:
        dist.broadcast(value := value.detach().clone().contiguous(), src=0)
    return value


def agreed(rows: Tensor) -> Tensor:
    """Return values of the points that this process holds: the first process's where all hold the same points."""
    return rows if _split else from_first(rows)


def bytes_from_first(content: bytes) -> bytes:
    """Return the first process's bytes in every process."""
    if not _together:
        return content
    size = int(from_first(torch.tensor(len(content))))
    own = content if rank() == 0 else bytes(size)
    return bytes(from_first(torch.frombuffer(bytearray(own), dtype=torch.uint8)).numpy()) if size else b""


def told_by_first(value: Any) -> Any:
    """Return the first process's ``value``, of what JSON can hold, in every process: it decides."""
    return json.loads(bytes_from_first(json.dumps(value).encode())) if _together else value


def file_from_first(path: str | Path) -> bytes | None:
    """Return the bytes of the first process's file in every process, ``None`` if it has no such file."""
    content = Path(path).read_bytes() if rank() == 0 and Path(path).exists() else b""
    return bytes_from_first(content) or None


def everyones(value: Tensor) -> list[Tensor]:
    """Return every process's ``value`` in every process, in their order; the shapes have to agree."""
    return [*_joined(value[None], [1] * n_processes())] if _together else [value]


@contextmanager
def stopping_all() -> Iterator[None]:
    """Let an error in one process stop every process: none waits for one that has gone.

    Only for work in which no process waits for another.
    """
    error = None
    try:
        yield
    except Exception as found:
        error = found
    failed = largest(0 if error is None else rank() + 1)
    if error is not None:
        raise error
    if failed:
        raise ValueError(f"process {failed - 1} stopped with an error, which its own message names; so do the others.")


# -- sums ------------------------------------------------------------------------------------------------------------


def summed(value: Tensor) -> Tensor:
    """Return the sum of every process's ``value``."""
    if _together:
        dist.all_reduce(value := value.clone())
    return value


def over_points(value: Tensor) -> Tensor:
    """Return a sum over points as one over all of them: if the data is split, every process has a part of it."""
    return summed(value) if _split else value


def largest(value: int) -> int:
    """Return the largest of every process's ``value``."""
    found = torch.tensor(value)
    if _together:
        dist.all_reduce(found, dist.ReduceOp.MAX)
    return int(found)


# -- rows ------------------------------------------------------------------------------------------------------------


def share(index: Tensor) -> Tensor:
    """Return this process's part of ``index`` (m,); the parts differ in length by one at most."""
    return index.tensor_split(n_processes())[dist.get_rank()] if _together and not _split else index


def drawn(draw: Callable[[int], Tensor], n: int) -> Tensor:
    """Return this process's part of the ``n`` rows that ``draw`` makes, in every process alike, of their number.

    So noise is another in each process, and where a mini-batch is shared, it is what one process would draw for all.
    """
    return draw(n).tensor_split(n_processes())[dist.get_rank()] if _together else draw(n)


def gathered(part: Tensor, n: int) -> Tensor:
    """Join the rows that the processes computed of their shares of ``arange(n)``, in order."""
    if not _together or _split:
        return part
    return _joined(part, [len(piece) for piece in torch.arange(n).tensor_split(n_processes())])


def all_rows(own: Tensor) -> Tensor:
    """Return the rows of all processes, in their order; only for what has to be in one place."""
    if not _split:
        return own
    sizes = torch.zeros(n_processes(), dtype=torch.int64)
    sizes[dist.get_rank()] = len(own)
    return _joined(own, summed(sizes).tolist())


def own_rows(rows: Tensor, n: int) -> Tensor:
    """Return this process's ``n`` rows of what :func:`all_rows` put together."""
    if not _split:
        return rows
    sizes = torch.zeros(n_processes(), dtype=torch.int64)
    sizes[dist.get_rank()] = n
    start = int(summed(sizes)[: dist.get_rank()].sum())
    return rows[start : start + n]


def _joined(part: Tensor, sizes: list[int]) -> Tensor:
    """Join ``part`` of every process along its rows, given how many each has."""
    padded = part.new_zeros((max(sizes), *part.shape[1:]))
    padded[: len(part)] = part
    pieces = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(pieces, padded)
    return torch.cat([piece[:size] for piece, size in zip(pieces, sizes, strict=True)])


# -- gradients -------------------------------------------------------------------------------------------------------


class LossModule(nn.Module):
    """A loss as a module, for ``DistributedDataParallel`` watches one call of ``forward``.

    Parameters
    ----------
    network
        Whose parameters move.
    loss
        From a mini-batch to one number.
    """

    def __init__(self, network: nn.Module, loss: Callable[[Any], Tensor]) -> None:
        super().__init__()
        self.network = network
        self.loss = loss

    def forward(self, batch: Any) -> Tensor:
        """Return the loss of a mini-batch; of an empty share, a zero that has a gradient."""
        if len(batch.index):
            return self.loss(batch)
        return sum(value.sum() * 0.0 for value in self.network.parameters() if value.requires_grad)


def averaging(network: nn.Module, loss: Callable[[Any], Tensor]) -> Callable[[Any], Tensor]:
    """Return ``loss``, so that a backward pass leaves the mean of all processes' gradients in ``network``.

    Buffers stay each process's own within an epoch; see :func:`mean_buffers`.
    """
    if not _together:
        return loss
    return DistributedDataParallel(LossModule(network, loss), find_unused_parameters=True, **{OWN_BUFFERS: False})


def synced(network: nn.Module, device: torch.device) -> nn.Module:
    """Return the network, on several GPUs with batch norm that sees the whole mini-batch and not a share of it."""
    if n_processes() > 1 and device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    return network


def mean_buffers(network: nn.Module) -> None:
    """Give every process the mean of the network's buffers, such as batch norm's running figures."""
    if _together:
        for value in network.buffers():
            if value.is_floating_point():
                value.copy_(summed(value) / n_processes())
