"""A query looked at before it runs: what is wrong, what its columns need, what it reads, what may be hidden."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from amci.amcsql.binder.bound import Bound, OutputColumn
from amci.amcsql.findings import CompileError, Finding, between
from amci.amcsql.grammar.parsing import refused_for_audiences, tokens_of
from amci.amcsql.query import Query
from amci.amcsql.sources import Kind, Source
from amci.amcsql.tools.risks import Risk, keys, origins, risks

Access = Literal["included", "paid", "uploaded", "audiences"]

_ONLY_USER_ID = "The final SELECT of an audience query must have user_id as its only column"
_AUDIENCE = "_for_audiences"


@dataclass(frozen=True, slots=True, kw_only=True)
class LintColumn:
    """A column of the result."""

    name: str
    type: str  #: its family: STRING, LONG, DECIMAL …
    kind: str  #: METRIC or DIMENSION, as AMC says it
    threshold: str  #: NONE … INTERNAL
    users: int | None  #: how many a row needs that shows it; None if it may never be shown
    is_key: bool  #: whether it tells the rows of the result apart
    because: Sequence[str]  #: columns of tables that make it so sensitive, as `table.column`


@dataclass(frozen=True, slots=True, kw_only=True)
class LintTable:
    """A table that the query reads."""

    name: str
    category: str
    kind: str  #: FACT or DIMENSION
    access: Access  #: paid: an instance has it only with a subscription
    reads: int  #: how often


@dataclass(frozen=True, slots=True, kw_only=True)
class LintParameter:
    """A parameter that the query uses, or that is declared for it."""

    name: str
    data_type: Any  #: AMC's; None if it is not declared
    default: Any
    is_declared: bool
    is_used: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Lint:
    """Everything that can be said of a query without running it."""

    kind: Kind
    findings: Sequence[Finding]
    columns: Sequence[LintColumn] = ()
    tables: Sequence[LintTable] = ()
    parameters: Sequence[LintParameter] = ()
    risks: Sequence[Risk] = ()

    @property
    def errors(self) -> list[Finding]:
        """Why AMC would refuse it."""
        return [finding for finding in self.findings if finding.severity == "error"]

    @property
    def users(self) -> int:
        """How many users a row of the result needs, if all its columns have values."""
        return max((column.users or 1 for column in self.columns), default=1)

    def document(self) -> dict[str, Any]:
        """For editors and other programs; docs/amc-sql.md says what it holds."""
        return {
            "kind": self.kind,
            "is_ok": not self.errors,
            "users": self.users,
            "findings": [_finding(finding) for finding in self.findings],
            "columns": [asdict(column) for column in self.columns],
            "tables": [asdict(table) for table in self.tables],
            "parameters": [asdict(parameter) for parameter in self.parameters],
            "risks": [asdict(risk) for risk in self.risks],
        }


def lint(query: Query, *, removes_values: bool = False) -> Lint:
    """Everything about a query that was read.

    `removes_values`: the workflow has rows of too few users emptied, not dropped.
    """
    if query.bound is None:
        return Lint(kind=query.kind, findings=_once(query.findings), parameters=_parameters(query))
    audiences = _for_audiences(query.sql, query.bound) if query.kind == "audience" else []
    return Lint(
        kind=query.kind,
        findings=_once([*query.findings, *audiences]),
        columns=[_column(query.bound, place, o) for place, o in enumerate(query.bound.query.outputs)],
        tables=_tables(query.bound),
        parameters=_parameters(query),
        risks=risks(query.bound, removes_values=removes_values) if query.kind == "workflow" else (),
    )


def reads_audience_tables(sql: str) -> bool:
    """Whether a text names a table for audiences; it need not be a valid query."""
    try:
        return any(token.text.lower().endswith(_AUDIENCE) for token in tokens_of(sql))
    except CompileError:
        return False


def _for_audiences(sql: str, bound: Bound) -> list[Finding]:
    """What the audience API refuses and reporting accepts (amc-api 2.4)."""
    findings = refused_for_audiences(sql)
    names = [output.name for output in bound.query.outputs]
    if [name.lower() for name in names] != ["user_id"] and names:
        text = f"{_ONLY_USER_ID}; found {', '.join(names)}."
        place = between(sql, 0, len(sql.rstrip()) - 1)
        findings.append(
            Finding(
                severity="error",
                code="audience-columns",
                text=text,
                place=place,
                hint="SELECT user_id and nothing else",
                is_verbatim=True,
            )
        )
    return findings


def _once(findings: Sequence[Finding]) -> list[Finding]:
    """In the order of severity and place; what is an error is not a warning, too."""
    errors = {(each.code, each.place) for each in findings if each.severity == "error"}
    kept = [each for each in findings if each.severity == "error" or (each.code, each.place) not in errors]
    order = ("error", "warning", "note")
    return sorted(kept, key=lambda f: (order.index(f.severity), f.place.line, f.place.column))


def _column(bound: Bound, place: int, output: OutputColumn) -> LintColumn:
    level = output.facts.level
    found = origins(bound.query, place) if level else []
    return LintColumn(
        name=output.name,
        type=output.facts.family,
        kind="METRIC" if output.facts.is_metric else "DIMENSION",
        threshold=level.name,
        users=None if level.is_hidden else level.users,
        is_key=place in keys(bound.query),
        because=[str(origin) for origin in found if origin.column.threshold == level.name],
    )


def _tables(bound: Bound) -> list[LintTable]:
    names = [source.name for source in bound.sources]
    return [
        LintTable(
            name=source.name,
            category=source.category,
            kind=source.kind,
            access=access(source),
            reads=names.count(source.name),
        )
        for source in {source.name: source for source in bound.sources}.values()
    ]


def access(source: Source) -> Access:
    """What an instance needs to have a table."""
    if source.is_uploaded:
        return "uploaded"
    if source.is_paid:
        return "paid"
    return "audiences" if source.is_for_audiences else "included"


def _parameters(query: Query) -> list[LintParameter]:
    known = {str(parameter.get("name")): parameter for parameter in query.declared}
    return [
        LintParameter(
            name=name,
            data_type=known[name].get("dataType") if name in known else None,
            default=known[name].get("defaultValue") if name in known else None,
            is_declared=name in known,
            is_used=name in query.parameters,
        )
        for name in dict.fromkeys([*known, *query.parameters])
    ]


def _finding(finding: Finding) -> dict[str, Any]:
    place = asdict(finding.place)
    about = {name: getattr(finding, name) for name in ("severity", "code", "text", "hint")}
    return {**about, **place}
