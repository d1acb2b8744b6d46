"""Rewrites the generated blocks of the documents from the code; `--check` only says which are stale."""

from __future__ import annotations

import ast
import inspect
import re
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, timedelta
from enum import StrEnum
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.testing import CliRunner

from amci.cli.app import COMMANDS, app, load
from amci.kernel import errors
from amci.kernel.config import (
    AmcSettings,
    KeepSettings,
    NotifySettings,
    RootSettings,
    SandboxSettings,
    Settings,
    Size,
)
from amci.kernel.workspace import WorkspacePaths
from amci.lake.datasets.dataset import CsvSettings, Dataset, ExcelSettings, JsonSettings, LimitSettings
from amci.lake.datasets.pii import PiiDrop, PiiHash
from amci.lake.datasets.quality import AcceptedValues, QualityRule, Range, RowCount
from amci.scheduler.config import ScheduleFile, WindowFile
from amci.tenants.marketplaces import MARKETPLACES
from amci.tenants.model import Tenant
from amci.workflows.definitions.data_types import DataType
from amci.workflows.definitions.definition import InputParameter, WindowSpec, Workflow

DOCS = Path(__file__).parent
_BLOCK = re.compile(r"(<!-- generated: (?P<name>[\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_PLAIN: dict[Any, str] = {
    str: "text",
    bool: "`true`, `false`",
    int: "number",
    float: "number",
    timedelta: "duration",
    date: "date",
    datetime: "time",
}
#: By this a size is told from other whole numbers.
_IS_SIZE = get_args(Size)[1]


def main(arguments: list[str]) -> int:
    """Exit code 1 if `--check` is asked for and a document is stale."""
    is_check = arguments == ["--check"]
    stale = []
    for path in sorted(DOCS.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        fresh = renewed(text)
        if fresh != text:
            stale.append(path.name)
            if not is_check:
                path.write_text(fresh, encoding="utf-8")
    if is_check and stale:
        sys.stderr.write(f"stale: {', '.join(stale)}; run `make docs`\n")
        return 1
    return 0


def renewed(text: str) -> str:
    """The document with every generated block renewed; raises KeyError for a block without a generator."""
    return _BLOCK.sub(lambda m: f"{m[1]}{BLOCKS[m['name']]().rstrip()}\n{m[3]}", text)


def _table(columns: list[str], rows: list[list[str]]) -> str:
    if not rows:
        raise ValueError(f"nothing was found for the table of {', '.join(columns)}")
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


# ---- configuration


def _fields(model: type[BaseModel]) -> Callable[[], str]:
    def table() -> str:
        about = _docstrings(model)
        rows = [
            [f"`{field.alias or name}`", _type(field), _default(field), " ".join(about[name].split())]
            for name, field in model.model_fields.items()
        ]
        return _table(["key", "type", "default", "meaning"], rows)

    return table


def _docstrings(model: type[BaseModel]) -> dict[str, str]:
    """What stands below each field in the source, for the model and those it inherits from.

    Pydantic could find it, too, but whenever a model is imported, and takes most of that time for it.
    """
    found: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if issubclass(each, BaseModel) and each is not BaseModel:
            body = ast.parse(inspect.getsource(each)).body[0].body  # type: ignore[attr-defined]
            for field, below in pairwise(body):
                if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
                    found[field.target.id] = below.value.value  # type: ignore[union-attr,attr-defined]
    return found


def _type(field: FieldInfo) -> str:
    return "size" if _IS_SIZE in field.metadata else _named(field.annotation)


def _named(annotation: Any) -> str:
    """A type as somebody who writes YAML would say it."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return _plain(annotation)
    arguments = [a for a in get_args(annotation) if a is not type(None) and a is not Ellipsis]
    origin = get_origin(annotation)
    if origin is Literal:
        return _words(arguments)
    if origin is tuple:
        return f"list of {_named(arguments[0])}"
    if origin is dict:
        return f"mapping of {_named(arguments[0])} to {_named(arguments[1])}"
    kinds = arguments[:1] if origin is Annotated else arguments
    return " or ".join(dict.fromkeys(_named(a) for a in kinds)) or "value"


def _plain(of: type) -> str:
    if issubclass(of, BaseModel):
        return f"[{of.__name__}](#{of.__name__.lower()})"
    return _words(of) if issubclass(of, StrEnum) else _PLAIN.get(of, "value")


def _words(values: Iterable[Any]) -> str:
    return ", ".join(f"`{str(value).lower() if isinstance(value, bool) else value}`" for value in values)


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if field.is_required():
        return "required"
    if value in (None, "", (), {}) or isinstance(value, BaseModel):
        return ""
    if isinstance(value, tuple):
        return ", ".join(f"`{one}`" for one in value if isinstance(one, str))
    if isinstance(value, timedelta):
        return f"`{_duration(value)}`"
    if _IS_SIZE in field.metadata:
        return f"`{_size(value)}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _parameter_types() -> str:
    return f"{_words(DataType)}."


def _marketplaces() -> str:
    regions: dict[str, list[str]] = {}
    for found in MARKETPLACES.values():
        regions.setdefault(found.region, []).append(f"{found.country} `{found.marketplace_id}`")
    return _table(["region", "marketplaces"], [[f"`{r}`", ", ".join(m)] for r, m in regions.items()])


def _duration(value: timedelta) -> str:
    seconds = value.total_seconds()
    if 0 < seconds < 1:
        return f"{seconds * 1000:g}ms"
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds / length:g}{unit}"
    return f"{seconds:g}s"


def _size(value: int) -> str:
    for unit, factor in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if value % factor == 0:
            return f"{value // factor}{unit}"
    return str(value)


# ---- command line


def commands() -> Iterator[tuple[str, ...]]:
    """Every command, as the words behind `amci`."""
    for name, command in ((name, load(name)) for name in COMMANDS):
        inner = getattr(command, "commands", None)
        if not inner or command.invoke_without_command:
            yield (name,)
        yield from ((name, sub) for sub in inner or ())


def help_of(words: tuple[str, ...]) -> str:
    """What `amci … --help` prints."""
    result = CliRunner().invoke(app, [*words, "--help"], prog_name="amci", env={"TERMINAL_WIDTH": "100"})
    return "\n".join(line.rstrip() for line in result.output.strip().splitlines())


def _cli() -> str:
    parts = [f"## amci {' '.join(words)}\n\n```text\n{help_of(words)}\n```\n" for words in commands()]
    return "\n" + "\n".join(parts)


# ---- design


def _run_moves() -> str:
    migration = resources.files("amci.kernel") / "migrations" / "0001_runs.sql"
    with sqlite3.connect(":memory:") as db:
        db.executescript(migration.read_text(encoding="utf-8"))
        rows = db.execute("SELECT old, new, event, why FROM run_moves ORDER BY old, new").fetchall()
    db.close()
    return _table(
        ["from", "to", "event", "why"], [[old or "–", new, event, why] for old, new, event, why in rows]
    )


def _rooms() -> str:
    """The packages, lowest first, with what each may import: from the table that the architecture test keeps."""
    root = DOCS.parent / "amci"
    tree = ast.parse((DOCS.parent / "tests" / "test_architecture.py").read_text(encoding="utf-8"))
    (table,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ROOMS"
    )
    below: dict[str, dict[str, None]] = {}
    for name, allowed in ast.literal_eval(table).items():
        package = name.partition(".")[0]
        lower = (other.partition(".")[0] for other in allowed.split())
        below.setdefault(package, {}).update({other: None for other in lower if other != package})
    rows = []
    for package, others in below.items():
        inner = sorted(path.parent.name for path in (root / package).glob("*/__init__.py"))
        said = (
            ast.get_docstring(ast.parse((root / package / "__init__.py").read_text(encoding="utf-8"))) or ""
        )
        rows.append([f"`{package}/`", said.partition("\n")[0], ", ".join(inner), ", ".join(others)])
    return _table(["package", "for", "rooms in it", "may import"], rows)


def _layout() -> str:
    home = Path("/w")
    rows = []
    note = ""
    for line in inspect.getsource(WorkspacePaths).splitlines():
        place, _, said = line.partition("#:")
        note = said.strip() or note
        if "= _Below(" in place:
            path = getattr(WorkspacePaths(home), place.split()[0]).relative_to(home)
            slash = "" if path.suffix or path.name == "lock" else "/"
            rows.append([f"`{path}{slash}`", note or "the settings"])
            note = ""
    return _table(["place in the workspace", "what lies there"], rows)


def _errors() -> str:
    tree = (inspect.getdoc(errors) or "").split("\n\n")[1]
    return f"```text\n{tree}\n```"


BLOCKS: dict[str, Callable[[], str]] = {
    **{
        f"fields of {model.__name__}": _fields(model)
        for model in (
            *(Settings, RootSettings, NotifySettings, AmcSettings, SandboxSettings, KeepSettings, Tenant),
            *(Workflow, InputParameter, WindowSpec, ScheduleFile, WindowFile),
            *(Dataset, CsvSettings, JsonSettings, ExcelSettings),
            *(LimitSettings, PiiHash, PiiDrop, QualityRule, Range, AcceptedValues, RowCount),
        )
    },
    "parameter types": _parameter_types,
    "marketplaces": _marketplaces,
    "commands": _cli,
    "run moves": _run_moves,
    "rooms": _rooms,
    "layout": _layout,
    "errors": _errors,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
