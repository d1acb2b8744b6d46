"""From the text of a query to statements for DuckDB, with everything that AMC would refuse refused (amc-api 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlglot import exp

from amci.amcsql.ast_copy import copied
from amci.amcsql.binder.binding import bound
from amci.amcsql.binder.bound import Bound, OutputColumn, paths_of
from amci.amcsql.binder.checks import check
from amci.amcsql.binder.expressions import COMPARISON
from amci.amcsql.binder.parameters import Declared, with_parameters
from amci.amcsql.binder.scopes import FindingReport, SourceCatalog
from amci.amcsql.duckdb_writer import DuckDBWriter, QueryScope, Written
from amci.amcsql.findings import CompileError, Finding
from amci.amcsql.grammar.parsing import Mode, notices, parsed, read, too_deep
from amci.amcsql.privacy.provenance import PrivacyRewriter
from amci.amcsql.privacy.thresholds import GuardedStatements, Privacy, guarded
from amci.amcsql.sources import Source

#: Which privacy rules a query is checked by: all; for audiences, which give users and nothing else, comparisons.
Controls = Literal["all", "comparisons", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A query ready to run."""

    outputs: Sequence[OutputColumn]  #: its columns
    plain: str  #: for DuckDB, without privacy rules
    guarded: GuardedStatements | None  #: with them; None where they do not apply
    privacy: Privacy | None  #: what was asked of them
    sources: Sequence[str]  #: tables it reads
    parameters: Sequence[str]  #: that it uses
    notices: Sequence[Finding]  #: what AMC would not refuse, and a person should know

    @property
    def kinds(self) -> list[Literal["METRIC", "DIMENSION"]]:
        """AMC's `columnType` of each column, those of the privacy rules included."""
        own: list[Literal["METRIC", "DIMENSION"]]
        own = ["METRIC" if output.facts.is_metric else "DIMENSION" for output in self.outputs]
        own += ["DIMENSION"] * len(self.privacy.columns if self.privacy else ())
        return own


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A query that has been read, whatever was found."""

    findings: Sequence[Finding]
    bound: Bound | None  #: None where the text cannot be parsed
    parameters: Sequence[str] = ()

    @property
    def errors(self) -> list[Finding]:
        """Why AMC would refuse it."""
        return [finding for finding in self.findings if finding.severity == "error"]


def examined(
    sql: str,
    sources: Mapping[str, Source],
    *,
    declared: Declared = (),
    values: Mapping[str, Any] | None = None,
    window: tuple[datetime, datetime],
    mode: Mode = "lenient",
    controls: Controls = "all",
    schemas: frozenset[str] = frozenset({"sandbox"}),
    reads_on: bool = False,
) -> Examined:
    """The query with what is wrong with it; `sources` are the tables by name in lower case.

    `reads_on` where the text alone is refused already, for people who want to know everything at once.
    """
    report = FindingReport(sql)
    try:
        tree, refused = read(sql, mode) if reads_on else (parsed(sql, mode), [])
        if tree is None:
            return Examined(findings=refused, bound=None)
        report.findings += [*refused, *notices(tree, sql, mode)]
        tree = copied(tree)
        used = with_parameters(tree, declared, values or {}, window, report)
        found = bound(tree, SourceCatalog(sources, schemas), report)
    except CompileError as error:
        return Examined(findings=error.findings, bound=None)
    except RecursionError:
        return Examined(findings=[too_deep(sql)], bound=None)
    # where names have no meaning, nothing can be said of the output
    is_read = not any(each.severity == "error" and each.code != COMPARISON for each in report.findings)
    if controls == "all" and is_read:
        check(found, report)
    if controls == "none":
        report.findings = [each for each in report.findings if each.code != COMPARISON]
    in_order = sorted(report.findings, key=lambda each: (each.severity, each.place.line, each.place.column))
    return Examined(findings=in_order, bound=found, parameters=used)


def compiled(
    sql: str,
    *,
    sources: Mapping[str, Source],
    declared: Declared = (),
    values: Mapping[str, Any] | None = None,
    window: tuple[datetime, datetime],
    now: datetime,
    privacy: Privacy | None,
    controls: Controls = "all",
    instance_id: str = "",
    mode: Mode = "lenient",
    schemas: frozenset[str] = frozenset({"sandbox"}),
) -> Compiled:
    """The query for its window, parameter values and `now`; raises CompileError.

    Without all `controls`, or without `privacy`, rows of single users are shown, as AMC allows for synthetic data.
    """
    found = examined(
        sql, sources, declared=declared, values=values, window=window, mode=mode,
        controls=controls if privacy or controls != "all" else "none", schemas=schemas,
    )  # fmt: skip
    if found.errors or found.bound is None:
        raise CompileError(*found.errors)
    scope = QueryScope(start=window[0], end=window[1], now=now, instance_id=instance_id)
    query = found.bound
    written: Written = {}
    has_users = any(query.sources[path].has_users for path in paths_of(query.query))
    is_guarded = privacy is not None and has_users and controls == "all"
    try:
        plain = _plain(query, DuckDBWriter(scope, written))
        traced = PrivacyRewriter(query, scope, written).result() if is_guarded else ""
    except RecursionError as error:
        raise CompileError(too_deep(sql)) from error
    return Compiled(
        outputs=query.query.outputs,
        plain=plain,
        guarded=guarded(query, traced, privacy) if privacy and is_guarded else None,
        privacy=privacy,
        sources=list(dict.fromkeys(source.name for source in query.sources)),
        parameters=found.parameters,
        notices=found.findings,
    )


def _plain(query: Bound, texts: DuckDBWriter) -> str:
    named = ",\n".join(texts.named(each) for each in query.named if each.uses)
    text = texts.query(query.query)
    return f"WITH {named}\n{text}" if named else text


def asks_the_time(sql: str) -> bool:
    """Whether the query depends on when it is run; raises CompileError where it cannot be parsed."""
    tree = parsed(sql)
    words = {literal.name.lower() for literal in tree.find_all(exp.Literal)}
    return bool(words & {"now", "today"}) or tree.find(exp.CurrentDate, exp.CurrentTimestamp) is not None
