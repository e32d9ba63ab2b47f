"""The package as a whole: its names are there when they are asked for, and nothing heavy before."""

import subprocess
import sys
import time

import pytest

import dclib
from dclib.methods import METHODS

HEAVY = ("torch", "sklearn", "scipy", "numpy", "matplotlib")


def heavy_after(code: str) -> set[str]:
    """Run code in a fresh process and return which heavy packages it imported."""
    report = f"{code}\nimport sys; print('loaded', *(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split()[1:])


def test_importing_the_package_imports_nothing_heavy():
    assert heavy_after("import dclib; dclib.__version__; dir(dclib)") == set()
    assert "torch" in heavy_after("from dclib import DEC")  # the check can fail


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments):
    call = f"try:\n    cli.main({arguments})\nexcept SystemExit as stop:\n    assert not stop.code"
    assert heavy_after(f"from dclib import cli\n{call}") == set()


def test_help_takes_less_than_a_second():
    seconds = []
    for _ in range(3):  # the best of three: a busy machine is not the package's fault
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "dclib", "--help"], capture_output=True, check=True)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 1


def test_every_name_is_there_and_is_the_one_of_its_module():
    for name in dclib.__all__:
        assert name in dir(dclib) and getattr(dclib, name) is getattr(dclib, name)
    assert dclib.load is dclib.data.load and dclib.DEC is METHODS["dec"]
    assert {cls.__name__ for cls in METHODS.values()} <= set(dclib.__all__)


def test_modules_are_attributes_without_an_import_of_their_own():
    code = "import dclib; assert dclib.metrics.purity([0, 1], [0, 1]) == 1; assert dclib.methods.METHODS"
    assert "torch" in heavy_after(code)


@pytest.mark.parametrize("name", ["DECC", "nothing", "__main__", "_private"])
def test_an_unknown_name_is_an_attribute_error(name):
    with pytest.raises(AttributeError, match=f"'dclib' has no attribute '{name}'"):
        getattr(dclib, name)
    with pytest.raises(ImportError):
        exec(f"from dclib import {'DECC' if name == '__main__' else name}")
