"""A query that is read once, and compiled to statements for DuckDB as often as it is run (amc-api 3).

`Query.of` parses a text and binds its names; everything that AMC would refuse is among the findings. `Query.compile`
adds what differs between executions: the time window, the moment, the instance and the privacy rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Self

from sqlglot import exp

from amci.amcsql.ast_copy import copied
from amci.amcsql.binder.binding import bound
from amci.amcsql.binder.bound import Bound, OutputColumn, QueryExpression, Select, blocks, paths_of
from amci.amcsql.binder.expressions import COMPARISON, check_output
from amci.amcsql.binder.parameters import Declared, with_parameters
from amci.amcsql.binder.scopes import FindingReport, SourceCatalog
from amci.amcsql.binder.user_identity import classes_of
from amci.amcsql.duckdb_writer import DuckDBWriter, QueryScope, Written
from amci.amcsql.findings import CompileError, Finding
from amci.amcsql.grammar.parsing import Mode, notices, parsed, read, too_deep
from amci.amcsql.privacy.provenance import PrivacyRewriter
from amci.amcsql.privacy.thresholds import GuardedStatements, Privacy, guarded
from amci.amcsql.sources import Kind, Source

#: Which privacy rules a query is checked by: all; for audiences, which give users and nothing else, comparisons.
Controls = Literal["all", "comparisons", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A query ready to run."""

    outputs: Sequence[OutputColumn]  #: its columns
    plain: str  #: for DuckDB, without privacy rules
    guarded: GuardedStatements | None  #: with them; None if they do not apply
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Query:
    """A query that was parsed and bound, whatever was found in it. Threads may share it."""

    sql: str
    declared: Declared  #: the workflow's `inputParameters`
    controls: Controls
    findings: Sequence[Finding]  #: by severity and place
    bound: Bound | None = None  #: None if the text cannot be parsed
    parameters: Sequence[str] = ()  #: names of those it uses
    asks_the_time: bool = False  #: whether its rows depend on when it is run

    @classmethod
    def of(
        cls,
        sql: str,
        sources: Mapping[str, Source],
        *,
        declared: Declared = (),
        values: Mapping[str, Any] | None = None,
        mode: Mode = "lenient",
        controls: Controls = "all",
        schemas: frozenset[str] = frozenset({"sandbox"}),
        reads_on: bool = False,
    ) -> Self:
        """Read a query over `sources`, tables by name in lower case; what is wrong with it is among its findings.

        `values` of parameters by name stand for their defaults. `reads_on` also if the text alone is refused
        already, for people who want to know everything at once.
        """
        report = FindingReport(sql)
        try:
            tree, refused = read(sql, mode) if reads_on else (parsed(sql, mode), [])
            if tree is None:
                return cls(sql=sql, declared=declared, controls=controls, findings=refused)
            report.findings += [*refused, *notices(tree, sql, mode)]
            tree = copied(tree)
            used = with_parameters(tree, declared, values or {}, report)
            asks_the_time = _asks_the_time(tree)
            query = bound(tree, SourceCatalog(sources, schemas), report)
        except CompileError as error:
            return cls(sql=sql, declared=declared, controls=controls, findings=error.findings)
        except RecursionError:
            return cls(sql=sql, declared=declared, controls=controls, findings=[too_deep(sql)])
        # if names have no meaning, nothing can be said of the output
        is_read = not any(each.severity == "error" and each.code != COMPARISON for each in report.findings)
        if controls == "all" and is_read:
            check(query, report)
        if controls == "none":
            report.findings = [each for each in report.findings if each.code != COMPARISON]
        return cls(
            sql=sql,
            declared=declared,
            controls=controls,
            findings=sorted(report.findings, key=lambda f: (f.severity, f.place.line, f.place.column)),
            bound=query,
            parameters=used,
            asks_the_time=asks_the_time,
        )

    @property
    def errors(self) -> list[Finding]:
        """Why AMC would refuse it."""
        return [finding for finding in self.findings if finding.severity == "error"]

    @property
    def kind(self) -> Kind:
        """Whose rules it was read by: audiences are not kept from showing single users."""
        return "audience" if self.controls == "comparisons" else "workflow"

    def compile(
        self,
        window: tuple[datetime, datetime],
        now: datetime,
        *,
        privacy: Privacy | None = None,
        instance_id: str = "",
    ) -> Compiled:
        """Compile it for a time window, aware and without its end, and the moment `now`; raises CompileError.

        Without all `controls`, or without `privacy`, rows of single users are shown, as AMC allows for synthetic
        data. An empty `instance_id` sees the people of all instances.
        """
        if self.errors or self.bound is None:
            raise CompileError(*self.errors)
        scope = QueryScope(start=window[0], end=window[1], now=now, instance_id=instance_id)
        query = self.bound
        written: Written = {}
        has_users = any(query.sources[path].has_users for path in paths_of(query.query))
        is_guarded = privacy is not None and has_users and self.controls == "all"
        try:
            plain = _plain(query, DuckDBWriter(scope, written))
            traced = PrivacyRewriter(query, scope, written).result() if is_guarded else ""
        except RecursionError as error:
            raise CompileError(too_deep(self.sql)) from error
        return Compiled(
            outputs=query.query.outputs,
            plain=plain,
            guarded=guarded(query, traced, privacy) if privacy and is_guarded else None,
            privacy=privacy,
            sources=list(dict.fromkeys(source.name for source in query.sources)),
            parameters=self.parameters,
            notices=self.findings,
        )


def _plain(query: Bound, texts: DuckDBWriter) -> str:
    named = ",\n".join(texts.named(each) for each in query.named if each.uses)
    text = texts.query(query.query)
    return f"WITH {named}\n{text}" if named else text


def _asks_the_time(tree: exp.Query) -> bool:
    asking = tree.find_all(exp.Literal, exp.CurrentDate, exp.CurrentTimestamp)
    return any(not isinstance(node, exp.Literal) or node.name.lower() in {"now", "today"} for node in asking)


_NO_AGGREGATE = "aggregation queries must contain at least one aggregation method on a column"


def check(query: Bound, report: FindingReport) -> None:
    """Report secret columns in the output, and rows that still belong to single users."""
    for output in query.query.outputs:
        check_output(report, _node(query.query, output.name), output.facts, output.name)
    for block in blocks(query.query):
        if not block.has_aggregate and _has_single_users(block):
            report.error(
                block.node, "no-aggregate", _NO_AGGREGATE, "SUM or COUNT a column, and GROUP BY the others"
            )


def _has_single_users(block: Select) -> bool:
    """Whether a row that the SELECT reads may be that of one user."""
    return any(classes_of(item.relation) for item in block.items)


def _node(query: QueryExpression, name: str) -> exp.Expr | None:
    for block in blocks(query):
        for output in block.outputs:
            if output.name == name and output.value is not None:
                return output.value
    return None
