"""The directive `api-module`: a module's public names in a table, then the documentation of each."""

import importlib
import inspect
import re
from types import ModuleType

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


def public_names(module: ModuleType) -> list[str]:
    """The functions and classes that the module itself defines, in the order of the file."""
    own = [
        name
        for name, thing in vars(module).items()
        if not name.startswith("_")
        and getattr(thing, "__module__", None) == module.__name__
        and (inspect.isclass(thing) or inspect.isroutine(thing))
    ]
    return list(getattr(module, "__all__", own))


def member(module: ModuleType, name: str) -> list[str]:
    """The lines that document one name."""
    if not inspect.isclass(getattr(module, name)):
        return [f".. autofunction:: {name}", ""]
    return [f".. autoclass:: {name}", "   :members:", ""]


class ApiModule(SphinxDirective):
    """`.. api-module:: dclib.metrics`, inside an eval-rst block."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        module = importlib.import_module(self.arguments[0])
        names = public_names(module)
        lines = [f".. automodule:: {module.__name__}", "   :no-members:", ""]
        lines += [f".. currentmodule:: {module.__name__}", "", ".. autosummary::", ""]
        lines += [*(f"   {name}" for name in names), ""]
        lines += [line for name in names for line in member(module, name)]
        box = nodes.container()
        self.state.nested_parse(StringList(lines, source=module.__file__), 0, box)
        return box.children


def restore_summary(app: Sphinx, what: str, name: str, obj: object, options: dict, lines: list[str]) -> None:
    """Give a property its whole first line back: napoleon reads what stands before a colon as a type."""
    types = [m[1] for line in lines if (m := re.match(r":type: (.+)", line))]
    if what in ("property", "attribute") and types:
        lines[:] = [line for line in lines if not line.startswith(":type: ")]
        lines[:1] = [": ".join([*types, *lines[:1]])]


def skip_foreign(app: Sphinx, what: str, name: str, obj: object, skip: bool, options: dict) -> bool | None:
    """Leave out methods that other packages put into our classes."""
    home = getattr(obj, "__module__", None) or ""
    return True if inspect.isroutine(obj) and not home.startswith("dclib") else None


def setup(app: Sphinx) -> dict:
    app.add_directive("api-module", ApiModule)
    app.connect("autodoc-process-docstring", restore_summary, priority=900)
    app.connect("autodoc-skip-member", skip_foreign)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
