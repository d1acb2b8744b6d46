"""Are the layers of the design kept? Read from the source, not from what happens to be imported."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import amci

ROOT = Path(amci.__file__).parent
MODULES = sorted(path for path in ROOT.rglob("*.py") if "example" not in path.relative_to(ROOT).parts)

SIBLINGS = {"tenants", "scheduler", "workflows", "lake", "sandbox", "amcsql"}
#: The layer that knows all packages; every other module beside them is kernel.
TOP = {
    "amci.cli", "amci.engine", "amci.project", "amci.status", "amci.doctor", "amci.demo", "amci.scaffold",
    "amci.context", "amci.kernel.testing", "amci.__main__", "amci.working", "amci.opened", "amci.connecting",
    "amci.handlers", "amci.lookout", "amci.spread", "amci.plan", "amci.plan_cli", "amci.demo_circle",
}  # fmt: skip
BELOW = {
    "kernel": {"kernel"},
    "tenants": {"tenants", "kernel"},
    "scheduler": {"scheduler", "kernel"},
    "amcsql": {"amcsql", "kernel"},
    "workflows": {"workflows", "tenants", "amcsql", "kernel"},
    "lake": {"lake", "tenants", "kernel"},
    "sandbox": {"sandbox", "amcsql", "kernel"},
    "top": {"top", "kernel"} | SIBLINGS,
}
#: Who talks HTTP: AMC's client with what stands in for it, the login, and webhooks.
HTTP = ("amci.workflows.client", "amci.workflows.connections", "amci.workflows.fixtures", "amci.workflows.login",
        "amci.workflows.transport", "amci.kernel.notify.webhook")  # fmt: skip
HEAVY = {"duckdb", "polars", "pyarrow"}
#: Where anything may be raised by somebody else's code, and what becomes of it there.
BROAD = {
    "amci.__main__": "the last line: a bug is said to be one",
    "amci.engine": "an error of the looking thread is carried to the one that waits for it",
    "amci.lake.prestage": "an error of the writing thread is carried to the one that waits for it",
    "amci.lake.result": "an error of the reading thread is raised where the result is asked for",
    "amci.lake.transforming": "a transform may raise anything",
    "amci.kernel.plugins": "a plugin may raise anything while it is loaded",
    "amci.kernel.worker": "a handler may raise anything; its run is then FAILED",
}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


NAMES = {name_of(path): path for path in MODULES}


def layer(name: str) -> str:
    # The command line of a package is a skin over the context and the engine, whatever package it lies in.
    if name in TOP or name.endswith(("_cli", ".cli")):
        return "top"
    second = name.split(".")[1] if "." in name else ""
    return second if second in SIBLINGS else "kernel"


def imported(path: Path, *, lazily: bool = True) -> set[str]:
    """Full names of imported modules; `lazily` also those imported inside functions and for type checking."""
    found = set()
    nodes = ast.walk(tree(path)) if lazily else iter(tree(path).body)
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in NAMES else node.module for name in inner}
    return found


def called(path: Path) -> set[str]:
    """Dotted names as they stand in the source: `datetime.now`, `os.environ`."""
    return {ast.unparse(node) for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)}


@pytest.mark.parametrize("name", NAMES)
def test_imports_point_downwards(name: str) -> None:
    above = {
        other: layer(other)
        for other in imported(NAMES[name])
        if other.startswith("amci.") and layer(other) not in BELOW[layer(name)]
    }
    assert not above


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    graph = {name: imported(path, lazily=False) & NAMES.keys() for name, path in NAMES.items()}
    assert list(TopologicalSorter(graph).static_order())


def test_only_the_lake_knows_duckdb_arrow_and_polars() -> None:
    who = {name for name, path in NAMES.items() if {m.split(".")[0] for m in imported(path)} & HEAVY}
    assert {name for name in who if not name.startswith(("amci.lake.", "amci.sandbox."))} == set()
    assert "amci.lake.catalog" in who


def test_only_the_clients_know_httpx() -> None:
    who = {name for name, path in NAMES.items() if "httpx" in {m.split(".")[0] for m in imported(path)}}
    assert {name for name in who if not name.startswith(HTTP)} == set()
    assert "amci.workflows.connections" in who


def test_only_the_clock_asks_for_the_time_and_makes_ids() -> None:
    asking = {
        f"{prefix}{call}"
        for call in ("datetime.now", "datetime.utcnow", "datetime.today", "date.today")
        for prefix in ("", "datetime.")
    }
    who = {
        name
        for name, path in NAMES.items()
        if called(path) & asking or imported(path) & {"time", "uuid", "secrets"}
    }
    assert who == {"amci.kernel.clock"}


def test_only_config_reads_the_environment() -> None:
    reading = {"os.environ", "os.getenv", "os.environb", "os.putenv"}
    assert {name for name, path in NAMES.items() if called(path) & reading} == {"amci.kernel.config"}


@pytest.mark.parametrize("name", NAMES)
def test_a_module_says_what_it_is_for(name: str) -> None:
    said = ast.get_docstring(tree(NAMES[name]))
    assert said
    assert said.splitlines()[0].endswith((".", ":"))


def test_broad_excepts_stand_where_foreign_code_is_called() -> None:
    who = set()
    for name, path in NAMES.items():
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.ExceptHandler):
                continue
            is_broad = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
            passes_on = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            if is_broad and not passes_on:
                who.add(name)
    assert who == BROAD.keys()


def test_help_imports_nothing_heavy() -> None:
    heavy = {
        *HEAVY,
        "pydantic",
        "sqlglot",
        "structlog",
        "yaml",
        "watchdog",
        "httpx",
        "cryptography",
        "keyring",
        "starlette",
        "uvicorn",
    }
    script = (
        "import sys\n"
        "sys.argv = ['amci', '--help']\n"
        "from amci.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "print('LOADED', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.rpartition("LOADED")[2].split())
    assert "typer" in loaded
    assert loaded & heavy == set()
