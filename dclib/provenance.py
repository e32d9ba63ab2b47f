"""Where a result comes from: machine, versions, the commit of dclib's own checkout, the memory it took."""

import os
import platform
import subprocess
import tomllib
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from dclib import __version__
from dclib.training import has_bfloat16

PACKAGE = Path(__file__).resolve().parent
VERSIONED = ("numpy", "scikit-learn", "scipy", "torch")


def surroundings(device: torch.device) -> dict[str, Any]:
    """Return the fields of a record that say where, when and with which versions a run was made."""
    on_gpu = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if on_gpu else f"{torch.get_num_threads()} threads, {platform.machine()}"
    return {
        "device": f"{device.type}: {name}",
        "bfloat16": has_bfloat16(device),  # what precision="auto" makes of it
        "versions": {"python": platform.python_version(), **{name: version(name) for name in VERSIONED}},
        "dclib": own_version(),
        "commit": commit(),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def busy(n_processes: int = 1) -> bool:
    """Return whether more runs on this machine than these processes: then their wall time means little.

    The number of runnable threads, averaged over a minute, is held against the threads that PyTorch uses. Where the
    system does not say, nothing is busy.
    """
    if not hasattr(os, "getloadavg"):
        return False
    return os.getloadavg()[0] > n_processes * torch.get_num_threads() + 1


def own_version() -> str:
    """Return the version of the dclib that runs: of a checkout, not what was current when it was installed."""
    return __version__


def commit(package: Path = PACKAGE) -> str | None:
    """Return the commit of dclib's own checkout, with ``+`` if the package differs from it.

    Parameters
    ----------
    package
        The folder of the package.

    Returns
    -------
    str or None
        ``None`` where there is no such checkout: without git, and in an environment inside somebody else's
        repository, whose commits say nothing about dclib.
    """

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=package, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if not is_own(Path(git("rev-parse", "--show-toplevel")), package):
            return None
        return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def is_own(checkout: Path, package: Path) -> bool:
    """Whether a checkout is dclib's: the package lies at its top, beside a pyproject.toml of that name."""
    project = checkout / "pyproject.toml"
    if checkout.resolve() != package.resolve().parent or not project.is_file():
        return False
    with suppress(tomllib.TOMLDecodeError):
        return tomllib.loads(project.read_text(encoding="utf-8")).get("project", {}).get("name") == "dclib"
    return False


def reset_peak_memory() -> None:
    """Forget the earlier peaks of this process, where the system can."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # Linux


def peak_memory() -> float:
    """Return the largest resident memory of this process in MiB, since the last reset where Linux allows one."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        return _peak_memory_elsewhere()


def _peak_memory_elsewhere() -> float:
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if platform.system() == "Darwin" else 2**10)
