"""Finds the queries that a name means: files, directories, workflows of a workspace, standard input."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amci.amcsql.query import Query
from amci.amcsql.sources import Kind, tables_for
from amci.amcsql.tools.linting import reads_audience_tables
from amci.kernel.errors import AmciError, ConfigError, NotFound, NoWorkspace, Problem, UsageError, collected
from amci.kernel.files import source_text, text_of
from amci.kernel.names import near_or

if TYPE_CHECKING:
    from amci.amcsql.grammar.parsing import Mode
    from amci.amcsql.sources import Source
    from amci.tenants.model import Tenant
    from amci.workflows.definitions.definition import Workflow

DOCUMENTS = (".yaml", ".yml", ".json")
#: Where a workspace keeps AMC SQL; its other SQL is DuckDB's.
_FOLDERS = ("workflows", "audiences")
STDIN = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryInput:
    """A query, and the file it stands in."""

    shown: str  #: the file as messages call it
    sql: str
    name: str  #: of its workflow; for SQL alone, of its file
    document: Workflow | None = None  #: what it declares; None for SQL alone
    is_for_audiences: bool = False
    first_line: int = 0  #: lines of the file before the query
    indent: int = 0  #: how far it is indented there

    @property
    def kind(self) -> Kind:
        """Which of AMC's rules hold for it."""
        return "audience" if self.is_for_audiences else "workflow"

    @property
    def removes_values(self) -> bool:
        """Whether rows of too few users are emptied, not dropped."""
        if self.document is None:
            return False
        is_asked = self.document.privacy_filtering_behavior == "REMOVE_VALUES"
        return is_asked or bool(self.document.filtered_metrics_discriminator_column)

    @property
    def workflow(self) -> Workflow:
        """Its workflow; for SQL alone, one without parameters. The file may have any name."""
        from amci.workflows.definitions.definition import Workflow

        return self.document or Workflow.model_construct(workflow_id=self.name, sql=self.sql)

    def read(
        self,
        tenant: Tenant | None = None,
        *,
        uploaded: Mapping[str, Source] | None = None,
        values: Mapping[str, Any] | None = None,
        mode: Mode = "lenient",
    ) -> Query:
        """The query with everything that is wrong with it.

        A tenant may have defaults of its own for parameters, and data sets that it `uploaded`, by name; `values`
        of parameters go before defaults.
        """
        declared: Sequence[Mapping[str, Any]] = ()
        if self.document is not None:
            # Building its models takes a while, and SQL alone does without.
            from amci.workflows.definitions.definition import amc_parameters

            declared = amc_parameters(self.document, tenant)
        return Query.of(
            self.sql,
            tables_for(self.kind, uploaded),
            declared=declared,
            values=values,
            mode=mode,
            controls="comparisons" if self.is_for_audiences else "all",
            reads_on=True,
        )


def read_queries(arguments: Sequence[str], config: Callable[[], Path]) -> list[QueryInput]:
    """The queries that are meant; raises NotFound, ConfigError with all that cannot be read.

    `config` is asked for the config/ of a workspace if an argument is not a file, and may raise NoWorkspace.
    """
    problems: list[Problem] = []
    found: dict[str, QueryInput] = {}
    for argument in arguments:
        for path in _files(argument):
            with collected(problems):
                query_input = _of_name(argument, config) if path is None else _of_file(path)
                found[query_input.shown] = query_input
    if problems:
        raise ConfigError(problems, hint="fix the files named above; nothing was done")
    return list(found.values())


def read_query(argument: str, config: Callable[[], Path]) -> QueryInput:
    """The query that is meant. Raises UsageError for a directory, and what `read_queries` raises."""
    if argument != STDIN and _is_there(Path(argument)) and Path(argument).is_dir():
        raise UsageError(f"{argument} is a directory", hint="name one file in it")
    return read_queries([argument], config)[0]


def query_of_text(sql: str) -> QueryInput:
    """SQL that stands in no file."""
    return _of_text("<sql>", "query", sql)


def sql_files(argument: str) -> Iterator[Path]:
    """The files with SQL that an argument means, to be written; raises NotFound, UsageError."""
    path = Path(argument)
    if _is_there(path) and path.is_dir():
        yield from (file for file in _in(path) if file.suffix == ".sql")
    elif not (_is_there(path) and path.is_file()):
        raise NotFound(
            f"there is no file {argument}", hint="name a file, a directory, or - for standard input"
        )
    elif path.suffix in DOCUMENTS:
        raise UsageError(
            f"{argument} is not an SQL file",
            hint=f"keep the SQL in {path.stem}.sql beside it: amci finds it there",
        )
    else:
        yield path


def _files(argument: str) -> Iterator[Path | None]:
    """The files of an argument; None for a name or standard input."""
    path = Path(argument)
    if argument == STDIN or not _is_there(path):
        yield None
    elif path.is_dir():
        files = list(_in(path))
        if not files:
            raise NotFound(f"there is no AMC SQL in {argument}", hint="name a file, or config/workflows")
        yield from files
    else:
        yield path if path.is_file() else None


def _is_there(path: Path) -> bool:
    """Whether there is such a path: what a person typed may be longer than any, such as SQL itself."""
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises if the name is too long


def _in(folder: Path) -> Iterator[Path]:
    """The queries in a directory; of a workspace or its config/, those of workflows and audiences."""
    inner = [place / name for place in (folder, folder / "config") for name in _FOLDERS]
    folders = [place for place in inner if place.is_dir()] or [folder]
    files = sorted(file for place in folders for file in place.rglob("*") if file.is_file())
    for file in files:
        has_sql = file.with_suffix(".sql").exists()
        if file.suffix == ".sql" or (
            file.suffix in DOCUMENTS and not has_sql and file.parent.name in _FOLDERS
        ):
            yield file


def _of_name(name: str, config: Callable[[], Path]) -> QueryInput:
    """A workflow of the workspace, or standard input."""
    if name == STDIN:
        return _of_text("<stdin>", "stdin", source_text(name))
    try:
        folder = config() / "workflows"
    except NoWorkspace:
        raise NotFound(f"there is no file {name}", hint="name a file with SQL, or a workflow's") from None
    for suffix in (*DOCUMENTS, ".sql"):
        if _is_there(path := folder / f"{name}{suffix}") and path.is_file():
            return _of_file(path)
    raise _unknown(name, folder)


def _unknown(name: str, folder: Path) -> AmciError:
    hint = near_or(name, {path.stem for path in folder.glob("*")}, "`amci workflow list` shows the workflows")
    return NotFound(f"there is neither a file nor a workflow '{name}'", hint=hint)


def _of_file(path: Path) -> QueryInput:
    """A file of SQL with the parameters of the document beside it, or a document with its SQL."""
    is_for_audiences = path.suffix == ".sql" and path.parent.name == "audiences"
    beside = [file for suffix in DOCUMENTS if (file := path.with_suffix(suffix)).is_file()]
    if path.suffix not in DOCUMENTS and not (path.suffix == ".sql" and beside):
        return _of_text(_short(path), path.stem, text_of(path, newline=""), is_for_audiences=is_for_audiences)
    # Building its models takes a while, and SQL alone does without.
    from amci.workflows.definitions import library

    if path.suffix == ".sql":
        return _of_document(_short(path), library.one(beside[0], str), is_for_audiences=is_for_audiences)
    workflow = library.one(path, str)
    beside_it = path.with_suffix(".sql")
    if beside_it.is_file():
        return _of_document(_short(beside_it), workflow)
    first_line, indent = _position(path)
    return _of_document(_short(path), workflow, first_line=first_line, indent=indent)


def _of_text(shown: str, name: str, sql: str, *, is_for_audiences: bool = False) -> QueryInput:
    """SQL that no document declares anything for."""
    is_for_audiences = is_for_audiences or reads_audience_tables(sql)
    return QueryInput(shown=shown, sql=sql, name=name, is_for_audiences=is_for_audiences)


def _of_document(
    shown: str, workflow: Workflow, *, is_for_audiences: bool = False, **position: int
) -> QueryInput:
    return QueryInput(
        shown=shown,
        sql=workflow.sql,
        name=workflow.workflow_id,
        document=workflow,
        is_for_audiences=is_for_audiences or reads_audience_tables(workflow.sql),
        **position,
    )


def _short(path: Path) -> str:
    """A path as people would type it here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_absolute() and path.is_relative_to(here) else str(path)


def _position(path: Path) -> tuple[int, int]:
    """Where the SQL begins in a YAML document: lines before it, and how far it is indented."""
    import yaml

    if path.suffix == ".json":
        return 0, 0
    text = text_of(path, newline="")
    for name, value in getattr(yaml.compose(text), "value", ()):
        if name.value in ("sql", "sqlQuery") and value.style == "|":
            first = value.start_mark.line + 1
            line = next((each for each in text.splitlines()[first:] if each.strip()), "")
            return first, len(line) - len(line.lstrip(" "))
    return 0, 0
