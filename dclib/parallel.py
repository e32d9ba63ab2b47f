"""Several processes, one answer: the first decides orders and starts, each takes its share, sums are global.

Every process can read all points, e.g. from one memory map. Of each mini-batch a process works on its share; the
gradients are summed, which gives the gradient of the whole mini-batch. Evaluation is shared in the same way and its
result gathered, so that cluster sizes, targets, k-means and the stop see all points in every process. Launched with
``torchrun --nproc-per-node 2 -m dclib run dec …``; one process alone passes through everything here untouched.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn

_together = False  # whether work is shared at this moment: only inside ``together()``


@contextmanager
def together() -> Iterator[None]:
    """Share the work inside the block, if ``torchrun`` started more than one process."""
    global _together
    if n_launched() > 1 and not dist.is_initialized():
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    before, _together = _together, dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
    try:
        yield
    finally:
        _together = before


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


def share(index: Tensor) -> Tensor:
    """Return this process's part of ``index`` (m,); the parts differ in length by one at most."""
    return index.tensor_split(n_processes())[dist.get_rank()] if _together else index


def from_first(value: Tensor) -> Tensor:
    """Return the first process's ``value`` in every process; the shapes have to agree."""
    if _together:
        dist.broadcast(value := value.detach().clone(), src=0)
    return value


def summed(value: Tensor) -> Tensor:
    """Return the sum of every process's ``value``."""
    if _together:
        dist.all_reduce(value := value.clone())
    return value


def gathered(part: Tensor, n: int) -> Tensor:
    """Join the rows that the processes computed of their shares of ``arange(n)``, in order."""
    if not _together:
        return part
    sizes = [len(piece) for piece in torch.arange(n).tensor_split(n_processes())]
    padded = part.new_zeros((max(sizes), *part.shape[1:]))
    padded[: len(part)] = part
    pieces = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(pieces, padded)
    return torch.cat([piece[:size] for piece, size in zip(pieces, sizes, strict=True)])


def same_start(network: nn.Module) -> None:
    """Give every process the first one's weights and buffers."""
    if _together:
        for value in network.state_dict().values():
            value.copy_(from_first(value))


def mean_buffers(network: nn.Module) -> None:
    """Give every process the mean of the network's buffers, such as batch norm's running figures."""
    if _together:
        for value in network.buffers():
            if value.is_floating_point():
                value.copy_(summed(value) / n_processes())


def sum_gradients(network: nn.Module) -> None:
    """Replace each gradient by its sum over processes, in one message; a missing gradient counts as zero."""
    if not _together:
        return
    trained = [value for value in network.parameters() if value.requires_grad]
    for value in trained:
        value.grad = torch.zeros_like(value) if value.grad is None else value.grad
    flat = summed(torch.cat([value.grad.flatten() for value in trained]))
    for value, piece in zip(trained, flat.split([value.numel() for value in trained]), strict=True):
        value.grad.copy_(piece.view_as(value))
