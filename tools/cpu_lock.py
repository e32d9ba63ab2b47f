"""Print requirements.lock without PyTorch and its CUDA, which `make setup TORCH=cpu` replaces by the CPU builds."""

import argparse
import re
import sys
from pathlib import Path

ENTRY = re.compile(r"^([A-Za-z0-9_.-]+)==(\S+)")
BUILDS = ("torch", "torchvision")  # compiled together: both from the CPU builds, or neither
CUDA = re.compile(r"^(nvidia|cuda|triton)(-|$)")


def entries(lock: str) -> dict[str, str]:
    """Split a lock into its entries: package name -> its lines (version, hashes, who asks for it)."""
    found: dict[str, str] = {}
    name = ""
    for line in lock.splitlines(keepends=True):
        if match := ENTRY.match(line):
            name = match[1]
        if name:
            found[name] = found.get(name, "") + line
    return found


def asked_by(entry: str) -> set[str]:
    """The packages that an entry's `# via` comment names."""
    comment = entry.partition("# via")[2]
    return set(re.findall(r"[A-Za-z0-9_.-]+", re.sub(r"\([^)]*\)|#", " ", comment)))


def without_cuda(lock: str) -> str:
    """The lock without torch, torchvision and the packages that only their CUDA builds need."""
    return "".join(text for name, text in entries(lock).items() if name not in BUILDS and not CUDA.match(name))


def torch_versions(lock: str) -> list[str]:
    """The requirements for the two, as `torch==2.9.0`, `torchvision==0.24.0`."""
    return [f"{name}=={ENTRY.match(entries(lock)[name])[2]}" for name in BUILDS]


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lock", type=Path)
    parser.add_argument("--torch", action="store_true", help="print the requirements for torch and torchvision instead")
    args = parser.parse_args()
    lock = args.lock.read_text(encoding="utf-8")
    sys.stdout.write(" ".join(torch_versions(lock)) + "\n" if args.torch else without_cuda(lock))


if __name__ == "__main__":
    main()
