"""Are the rules of the house kept? Read from the source, not from what happens to be imported."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import amci

ROOT = Path(amci.__file__).parent
MODULES = sorted(path for path in ROOT.rglob("*.py") if "example" not in path.relative_to(ROOT).parts)

#: Which rooms a room may import from, besides itself: the lower ones first. A room that has no row here fails.
#: A package's name stands for all of its rooms; a file that stands above the rooms beside it has its own row.
ROOMS = {
    "kernel": "",
    "kernel.notify": "kernel",
    "tenants": "kernel",
    "scheduler": "kernel",
    "amcsql": "kernel",
    "amcsql.patterns": "kernel amcsql",
    "amcsql.functions": "kernel amcsql amcsql.patterns",
    "amcsql.grammar": "kernel amcsql amcsql.patterns amcsql.functions",
    "amcsql.binder": "kernel amcsql amcsql.functions",
    "amcsql.duckdb_writer": "kernel amcsql amcsql.functions amcsql.binder",
    "amcsql.privacy": "kernel amcsql amcsql.functions amcsql.binder amcsql.duckdb_writer",
    "amcsql.query": "kernel amcsql amcsql.grammar amcsql.binder amcsql.duckdb_writer amcsql.privacy",
    "amcsql.tools": "kernel amcsql amcsql.grammar amcsql.functions amcsql.binder amcsql.privacy amcsql.query",
    "lake.model": "lake.datasets",
    "lake.formats": "kernel",
    "lake.datasets": "kernel tenants lake.formats",
    "lake.transforms": "kernel lake.datasets",
    "lake.catalog": "kernel lake.datasets",
    "lake.landing": "kernel lake.formats lake.datasets",
    "lake.query": "kernel lake.datasets lake.catalog lake.landing",
    "lake.loading": "kernel lake.formats lake.datasets lake.catalog lake.landing",
    "lake.upkeep": "kernel lake.datasets lake.catalog lake.query",
    "workflows.amazon": "kernel tenants",
    "workflows.amc": "kernel tenants workflows.amazon",
    "workflows.definitions": "kernel tenants workflows.amc",
    "workflows.executions": "kernel tenants workflows.amazon workflows.amc workflows.definitions",
    "workflows.audiences": "kernel tenants workflows.amc workflows.definitions workflows.executions",
    "workflows.provisioning": "kernel tenants workflows.amc",
    "sandbox": "kernel amcsql sandbox.data",
    "sandbox.data": "kernel amcsql",
    "sandbox.uploads": "kernel amcsql sandbox sandbox.data",
    "sandbox.audiences": "kernel amcsql sandbox",
    "sandbox.administration": "sandbox sandbox.uploads",
    "sandbox.routes": "amcsql sandbox sandbox.audiences sandbox.uploads sandbox.administration",
    "sandbox.service": "kernel sandbox sandbox.audiences sandbox.uploads sandbox.administration sandbox.routes",
    "sandbox.rest": "kernel sandbox sandbox.service",
    "app": "kernel tenants amcsql scheduler lake workflows sandbox",
    "cli": "kernel tenants amcsql scheduler lake workflows sandbox app",
}
#: The package itself, and its entry point.
DOORS = {"amci": "kernel app lake", "amci.__main__": "kernel cli"}
#: Who talks HTTP: the client of Amazon's APIs with what stands in for it, webhooks, and how long both may take.
HTTP = ("amci.workflows.amazon.", "amci.workflows.amc.", "amci.kernel.notify.webhook", "amci.kernel.exchange")
HEAVY = {"duckdb", "polars", "pyarrow"}
#: Where anything may be raised by somebody else's code, and what becomes of it there.
BROAD = {
    "amci.cli.main": "the last line: a bug is said to be one",
    "amci.app.engine": "an error of the looking thread is carried to the one that waits for it",
    "amci.lake.formats.excel_reader": "a workbook may be damaged in any way, and its reader raises anything",
    "amci.lake.loading.batch_writer": "an error of the writing thread is carried to the one that waits for it",
    "amci.lake.query.result": "an error of the reading thread is raised where the result is asked for",
    "amci.lake.loading.transform_call": "a transform may raise anything",
    "amci.kernel.plugin_probe": "a plugin may raise anything while it is loaded",
    "amci.workflows.executions.execute": "what AMC has begun goes on, whatever fails here",
    "amci.workflows.executions.steps": "what AMC has begun goes on, whatever fails here",
    "amci.kernel.worker": "a handler may raise anything; its run is then FAILED",
}


#: Who opens files by itself. Everyone else reads what comes from outside by kernel.files, within bounds.
READING = {
    "amci.kernel.files": "the bounded reader itself, and what writes files whole",
    "amci.kernel.workspace": "the lock, which it makes",
    "amci.tenants.credentials": "the lock, which it makes",
    "amci.sandbox.uploads.versions": "the lock, which it makes",
    "amci.kernel.notify.notifier": "appends notices",
    "amci.kernel.plugin_probe": "writes to the process that started it",
    "amci.kernel.process_limits": "reads what Linux says of this process",
    "amci.kernel.testing": "appends names of fault points",
    "amci.app.workspace": "has an `open` of its own",
    "amci.app.backup": "copies and hashes files of any size, piece by piece",
    "amci.app.samples.model": "writes samples",
    "amci.cli.output": "opens nothing but /dev/null",
    "amci.cli.fork_client": "opens folders, to name them by number",
    "amci.cli.fork_server": "opens a folder, to name it by number",
    "amci.cli.fork_worker": "opens nothing but /dev/null",
    "amci.cli.query_output": "writes results",
    "amci.workflows.executions.results": "writes results",
    "amci.sandbox.uploads.formats": "reads files of any size, row by row; listed as regular before",
    "amci.sandbox.uploads.unpacking": "reads files of any size, piece by piece; listed as regular before",
}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


NAMES = {name_of(path): path for path in MODULES}


def room(name: str) -> str:
    """The room a module lies in: the longest row of the table that its name begins with, or its own name."""
    inner = name.removeprefix("amci.")
    return max((row for row in ROOMS if f"{inner}.".startswith(f"{row}.")), key=len, default=name)


def imported(path: Path) -> set[str]:
    """Full names of imported modules, those imported inside functions and for type checking included."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in NAMES else node.module for name in inner}
    return found


def called(path: Path) -> set[str]:
    """Dotted names as they stand in the source: `datetime.now`, `os.environ`."""
    return {ast.unparse(node) for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)}


def is_below(lower: str, upper: str) -> bool:
    """Whether the room `upper` may import from `lower`."""
    allowed = (DOORS | ROOMS).get(upper, "").split()
    package = lower.partition(".")[0]
    return lower in {upper, "amci", *allowed} or (package in allowed and package != upper.partition(".")[0])


def test_imports_go_down_the_table_of_rooms() -> None:
    offences = [
        f"{name} imports {other}"
        for name, path in NAMES.items()
        for other in sorted(imported(path))
        if other == "amci" or other.startswith("amci.")
        if not is_below(room(other), room(name))
    ]
    # `lake` and `workflows` have nothing but rooms.
    rows = {*DOORS, *ROOMS, *(f"amci.{row.partition('.')[0]}" for row in ROOMS)}
    offences += [f"{name} lies in a room without a row" for name in NAMES if room(name) not in rows]
    assert not offences, "\n".join(offences)


def test_neither_modules_nor_rooms_import_each_other_in_a_circle() -> None:
    files = {name: imported(path) & NAMES.keys() for name, path in NAMES.items()}
    rooms: dict[str, set[str]] = defaultdict(set)
    for name, others in files.items():
        rooms[room(name)] |= {room(other) for other in others} - {room(name)}
    circles = []
    for graph in (files, rooms):
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            circles.append(" → ".join(error.args[1]))
    assert not circles, "\n".join(circles)


def test_only_the_lake_knows_duckdb_arrow_and_polars() -> None:
    who = {name for name, path in NAMES.items() if {m.split(".")[0] for m in imported(path)} & HEAVY}
    assert {name for name in who if not name.startswith(("amci.lake.", "amci.sandbox."))} == set()
    assert "amci.lake.catalog.catalog" in who


def test_only_the_clients_know_httpx() -> None:
    who = {name for name, path in NAMES.items() if "httpx" in {m.split(".")[0] for m in imported(path)}}
    assert {name for name in who if not name.startswith(HTTP)} == set()
    assert "amci.workflows.amc.connections" in who


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


def test_only_one_module_reads_the_environment() -> None:
    reading = {"os.environ", "os.getenv", "os.environb", "os.putenv"}
    assert {name for name, path in NAMES.items() if called(path) & reading} == {"amci.kernel.environment"}


def test_what_comes_from_outside_is_read_within_bounds() -> None:
    opening = {"read_text", "read_bytes", "fdopen"}
    who = set()
    for name, path in NAMES.items():
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.Call):
                continue
            called_as = ast.unparse(node.func)
            last = called_as.rpartition(".")[2]
            # A path's own `open` is called with a mode or an encoding; `State.open` and the like are not.
            says_how = {keyword.arg for keyword in node.keywords} & {
                "mode",
                "encoding",
                "newline",
                "buffering",
            }
            has_mode = any(isinstance(arg, ast.Constant) and isinstance(arg.value, str) for arg in node.args)
            is_open = called_as in ("open", "os.open", "io.open") or (
                last == "open" and (says_how or has_mode)
            )
            is_own = "resources.files" in called_as or called_as == "file.read_text"  # what comes with amci
            if (last in opening and last != called_as and not is_own) or is_open:
                who.add(name)
    assert who == READING.keys()


def test_json_from_outside_is_read_within_bounds() -> None:
    # What amci has written itself, in its own stores and lines, may be read plainly.
    stores = ("amci.kernel.", "amci.sandbox.", "amci.lake.query.", "amci.amcsql.sources", "amci.cli.demo")
    stores += (
        "amci.workflows.executions.store",
        "amci.workflows.amazon.answers",
        "amci.tenants.encrypted_file",
    )
    who = {name for name, path in NAMES.items() if called(path) & {"json.loads", "json.load", "yaml.load"}}
    assert {name for name in who if not name.startswith(stores)} == set()
    assert "amci.kernel.files" in who


def test_a_module_says_what_it_is_for() -> None:
    first = {name: (ast.get_docstring(tree(path)) or "").partition("\n")[0] for name, path in NAMES.items()}
    assert [name for name, line in first.items() if not line.endswith((".", ":"))] == []


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


def test_commands_start_without_what_few_of_them_need() -> None:
    commands = ("exec", "lake", "overview", "plan", "query", "runs", "schedule", "tenant", "work", "workflow")
    script = (
        f"import sys, amci.lake.query.session, amci.app.session, {', '.join(f'amci.cli.{c}' for c in commands)}\n"
        "print('LOADED', *sys.modules)\n"
        "import amci.app.engine\n"
        "print('LOADED', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    to_look, to_work = (set(part.split()) for part in done.stdout.split("LOADED")[1:])
    assert "duckdb" in to_look
    assert to_look & {"pyarrow", "polars", "numpy", "sqlglot", "httpx", "cryptography", "rich"} == set()
    assert "pyarrow" in to_work
    assert to_work & {"polars", "sqlglot", "httpx", "cryptography", "openpyxl", "rich"} == set()
