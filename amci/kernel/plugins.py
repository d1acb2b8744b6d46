"""Finding transforms: in config/transforms/, then installed packages, then amci's own."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from amci.kernel.errors import Problem
from amci.kernel.files import text_of

GROUP = "amci.transforms"

#: What a transform's parameters may be called; it is given those it names.
_PARAMETERS = {"rows", "obj"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Transform:
    """A function or a SELECT that changes, places or refuses what arrived."""

    name: str
    origin: str  #: file relative to config/, `package:function`, or `built in`
    source_hash: str  #: SHA-256 of its source, 16 hex digits
    function: Callable[..., Any] | None = None
    sql: str | None = None
    takes_rows: bool = True  #: one that only wants the object is asked before the file is read


def find(
    folder: Path, built_in: Sequence[Callable[..., Any]], problems: list[Problem]
) -> dict[str, Transform]:
    """All transforms by name; what cannot be loaded is added to `problems`.

    A name in `folder` hides the same name in a package, which hides amci's own.
    """
    found = {f.__name__: _of_function(f, "built in") for f in built_in}
    for point in entry_points(group=GROUP):
        try:
            found[point.name] = _of_function(point.load(), point.value, name=point.name)
        except Exception as error:  # noqa: BLE001 - a plugin may fail in any way while it is loaded
            problems.append(Problem(f"package {point.value}", "", f"cannot be loaded: {_said(error)}"))
    for path in sorted(folder.glob("*")):
        shown = f"config/{folder.name}/{path.name}"
        if path.suffix == ".sql":
            found[path.stem] = _of_sql(path)
        elif path.suffix == ".py" and not path.name.startswith("_"):
            found |= _of_file(path, shown, problems)
    return found


def _of_sql(path: Path) -> Transform:
    text = text_of(path, newline="")
    return Transform(name=path.stem, origin=f"transforms/{path.name}", source_hash=_hash(text), sql=text)


def _of_file(path: Path, shown: str, problems: list[Problem]) -> dict[str, Transform]:
    try:
        module = _load(path)
    except Exception as error:  # noqa: BLE001 - a plugin may fail in any way while it is loaded
        problems.append(Problem(shown, "", f"cannot be loaded: {_said(error)}"))
        return {}
    # The whole file is the source: a helper that changed makes its transforms stale too.
    source_hash = _hash(text_of(path))
    return {
        name: _python(name, f"transforms/{path.name}", source_hash, function)
        for name, function in vars(module).items()
        if inspect.isfunction(function)
        and function.__module__ == module.__name__
        and _is_transform(name, function)
    }


def _is_transform(name: str, function: Callable[..., Any]) -> bool:
    parameters = set(inspect.signature(function).parameters)
    return not name.startswith("_") and bool(parameters) and parameters <= _PARAMETERS


def _of_function(function: Callable[..., Any], origin: str, name: str = "") -> Transform:
    module = inspect.getmodule(function)
    source = inspect.getsource(module) if module else inspect.getsource(function)
    return _python(name or function.__name__, origin, _hash(source), function)


def _python(name: str, origin: str, source_hash: str, function: Callable[..., Any]) -> Transform:
    takes_rows = "rows" in inspect.signature(function).parameters
    return Transform(
        name=name, origin=origin, source_hash=source_hash, function=function, takes_rows=takes_rows
    )


def _load(path: Path) -> ModuleType:
    name = f"amci_transforms.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError("not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    # A stale bytecode cache must not hide an edit made within the same second.
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    return module


def _said(error: Exception) -> str:
    line = f" (line {error.lineno})" if isinstance(error, SyntaxError) else ""
    return f"{type(error).__name__}: {error}{line}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
