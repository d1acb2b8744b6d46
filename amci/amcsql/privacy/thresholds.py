"""Aggregation thresholds: which rows of a result are shown, and what is left of the others (amc-api 3.3).

A row needs as many users as its most sensitive column that is not NULL. It has the smallest of: distinct users of each
read of a table; effective users of each metric, those who contribute to it; equivalent users of each metric, its total
by the largest contribution of one user, of which two are enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from amci.amcsql.binder.bound import Bound, OutputColumn, QueryExpression, Select, Union, paths_of
from amci.amcsql.privacy.grouped_source import STATS
from amci.kernel.names import literal, quoted

Behavior = Literal["REMOVE_ROWS", "REMOVE_VALUES"]
#: What is counted: users behind a row, those who contribute to a metric, and a metric by its largest contribution.
Rule = Literal["distinct", "effective", "equivalent"]

#: The result with its numbers, between two statements.
TABLE = "amci result"
_USERS, _USERS_OF, _EFFECTIVE, _EFFECTIVE_OF, _EQUIVALENT, _EQUIVALENT_OF = map(quoted, STATS)
_EQUIVALENT_USERS = 2  #: are always enough
_REQUIRED, _ACTUAL, _RULE, _SHOWN = '"amci required"', '"amci actual"', '"amci rule"', '"amci shown"'
#: Of the rule that a row breaks: the number of users, the path they come through, and how many are needed.
_COUNT = (
    f"CASE {_RULE} WHEN 'distinct' THEN {_USERS} WHEN 'effective' THEN {_EFFECTIVE} ELSE {_EQUIVALENT} END"
)
_PATH = f"CASE {_RULE} WHEN 'distinct' THEN {_USERS_OF} WHEN 'effective' THEN {_EFFECTIVE_OF} ELSE {_EQUIVALENT_OF} END"
_LIMIT = f"CASE {_RULE} WHEN 'equivalent' THEN least({_REQUIRED}, {_EQUIVALENT_USERS}) ELSE {_REQUIRED} END"


@dataclass(frozen=True, slots=True, kw_only=True)
class Privacy:
    """What is removed, and which columns say so; AMC's defaults."""

    behavior: Behavior = "REMOVE_ROWS"
    discriminator: str = ""  #: column that is true where values were removed; it also means REMOVE_VALUES
    user_count: str = ""  #: column with the number of users
    reason: str = ""  #: column with the reason of a removal
    has_effective_users: bool = True  #: whether effective users count
    has_equivalent_users: bool = True  #: and equivalent ones

    @property
    def columns(self) -> list[str]:
        """The columns beside the query's own."""
        return [name for name in (self.discriminator, self.user_count, self.reason) if name]

    @property
    def removes_values(self) -> bool:
        """Whether rows stay, and lose values."""
        return self.behavior == "REMOVE_VALUES" or bool(self.discriminator)


@dataclass(frozen=True, slots=True)
class TableRead:
    """One read of a table, as reasons name it: `'dsp_impressions' (path 1 of 2)`."""

    table: str
    number: int  #: from 1, in the order of the query
    of: int  #: reads of this table in all

    @property
    def path(self) -> str:
        """`1 of 2`; empty if the table is read once."""
        return f"{self.number} of {self.of}" if self.of > 1 else ""

    def __str__(self) -> str:
        return f"'{self.table}'" + (f" (path {self.path})" if self.path else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactedRow:
    """A row that the rules removed or emptied, and the first rule that it broke; the plainest rule goes first."""

    values: Mapping[str, Any]  #: by column, as they were
    rule: Rule
    read: TableRead  #: whose users were counted
    count: int  #: users, as the rule counts them
    limit: int  #: users that the rule asks for: of equivalent users, two are enough
    required: int  #: users that its most sensitive values need
    columns: Sequence[str]  #: of the result, those with these values; none if one user is enough

    @property
    def short(self) -> int:
        """How many users are missing."""
        return max(0, self.limit - self.count)

    @property
    def reason(self) -> str:
        """In AMC's words: `97 'dsp_impressions' effective users < 100 required`."""
        kind = "" if self.rule == "distinct" else f"{self.rule} "
        return f"{self.count} {self.read} {kind}users < {self.limit} required"


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedStatements:
    """Statements for DuckDB."""

    make: str  #: the result with its numbers, as a temporary table
    show: str  #: what may be seen of it
    redacted: str  #: the rows that were touched, for `redacted_rows`
    drop: str
    outputs: Sequence[OutputColumn]
    reads: Mapping[int, TableRead]  #: by path

    def redacted_rows(self, fetched: Iterable[Sequence[Any]]) -> list[RedactedRow]:
        """What the statement `redacted` gave."""
        rows = []
        for row in fetched:
            *values, required, rule, count, limit, path = row
            by_column = list(zip(self.outputs, values, strict=True))
            sensitive = [
                output.name
                for output, value in by_column
                if value is not None and output.facts.level.users == required > 1
            ]
            rows.append(
                RedactedRow(
                    values={output.name: value for output, value in by_column},
                    rule=rule,
                    read=self.reads[path],
                    count=int(count),
                    limit=limit,
                    required=required,
                    columns=sensitive,
                )
            )
        return rows


def guarded(query: Bound, traced: str, privacy: Privacy) -> GuardedStatements:
    """The statements for a query that was written with its users."""
    outputs, reads = query.query.outputs, _table_reads(query)
    made = f"CREATE OR REPLACE TEMP TABLE {quoted(TABLE)} AS\n{_judged(outputs, traced, privacy)}"
    kept = _more(privacy, "false", f"least({_ACTUAL}, {most_required(outputs)})", "CAST(NULL AS VARCHAR)")
    names = [quoted(output.name) for output in outputs]
    show = f"SELECT {', '.join([*names, *kept])} FROM {quoted(TABLE)} WHERE {_SHOWN}"
    if privacy.removes_values:
        show = f"{show}\nUNION ALL\n{_emptied(outputs, reads, privacy)}"
    if _is_distinct(query.query):
        show = f"SELECT DISTINCT * FROM ({show})"
    columns = ", ".join([*names, _REQUIRED, _RULE, _COUNT, _LIMIT, _PATH])
    return GuardedStatements(
        make=made,
        show=show,
        redacted=f"SELECT {columns} FROM {quoted(TABLE)} WHERE NOT {_SHOWN}",
        drop=f"DROP TABLE IF EXISTS {quoted(TABLE)}",
        outputs=outputs,
        reads=reads,
    )


def unguarded(plain: str, privacy: Privacy) -> str:
    """A query to which the rules do not apply, with the columns that were asked for."""
    more = _more(privacy, "false", "CAST(NULL AS BIGINT)", "CAST(NULL AS VARCHAR)")
    return f"SELECT *{''.join(f', {column}' for column in more)} FROM ({plain})" if more else plain


def most_required(outputs: Sequence[OutputColumn]) -> int:
    """The most users that any column needs."""
    return max((output.facts.level.users for output in outputs), default=1)


def _judged(outputs: Sequence[OutputColumn], traced: str, privacy: Privacy) -> str:
    """The result with what each row needs, has, and the first rule that it breaks."""
    required = _required(outputs)
    is_shown = _enough(_REQUIRED, privacy)
    return (
        f"SELECT *, {_rule(privacy)} AS {_RULE}, {_actual(privacy)} AS {_ACTUAL}, {is_shown} AS {_SHOWN} FROM (\n"
        f"SELECT *, {required} AS {_REQUIRED} FROM (\n{traced}\n))"
    )


def _required(outputs: Sequence[OutputColumn]) -> str:
    """The most that a column needs which is not NULL."""
    cases = []
    for users in sorted(
        {output.facts.level.users for output in outputs if output.facts.level.users > 1}, reverse=True
    ):
        there = [f"{quoted(o.name)} IS NOT NULL" for o in outputs if o.facts.level.users == users]
        cases.append(f"WHEN {' OR '.join(there)} THEN {users}")
    return f"CASE {' '.join(cases)} ELSE 1 END" if cases else "1"


def _enough(required: str | int, privacy: Privacy) -> str:
    """Whether a row has so many users; numbers that are NULL do not matter."""
    conditions = [f"coalesce({_USERS} >= {required}, true)"]
    if privacy.has_effective_users:
        conditions.append(f"coalesce({_EFFECTIVE} >= {required}, true)")
    if privacy.has_equivalent_users:
        conditions.append(f"coalesce({_EQUIVALENT} >= least({required}, {_EQUIVALENT_USERS}), true)")
    return f"({' AND '.join(conditions)})"


def _actual(privacy: Privacy) -> str:
    numbers = [_USERS]
    if privacy.has_effective_users:
        numbers.append(_EFFECTIVE)
    if privacy.has_equivalent_users:
        # two are enough, so more say nothing of how many users there are
        numbers.append(f"CASE WHEN {_EQUIVALENT} < {_EQUIVALENT_USERS} THEN {_EQUIVALENT} END")
    return f"least({', '.join(numbers)})" if len(numbers) > 1 else _USERS


def _rule(privacy: Privacy) -> str:
    """The first rule that a row breaks, NULL if it breaks none; the plainest goes first."""
    cases = [f"WHEN {_USERS} < {_REQUIRED} THEN 'distinct'"]
    if privacy.has_effective_users:
        cases.append(f"WHEN {_EFFECTIVE} < {_REQUIRED} THEN 'effective'")
    if privacy.has_equivalent_users:
        cases.append(f"WHEN {_EQUIVALENT} < least({_REQUIRED}, {_EQUIVALENT_USERS}) THEN 'equivalent'")
    return f"CASE {' '.join(cases)} END"


def _reason(reads: Mapping[int, TableRead]) -> str:
    """`RedactedRow.reason` as a value of the result, which a workflow may ask for."""
    names = " ".join(f"WHEN {path} THEN {literal(str(read))}" for path, read in reads.items())
    kind = f"CASE {_RULE} WHEN 'distinct' THEN '' ELSE concat({_RULE}, ' ') END"
    return f"concat({_COUNT}, ' ', CASE {_PATH} {names} END, ' ', {kind}, 'users < ', {_LIMIT}, ' required')"


def _table_reads(query: Bound) -> dict[int, TableRead]:
    by_name: dict[str, list[int]] = {}
    for path in dict.fromkeys(paths_of(query.query)):
        by_name.setdefault(query.sources[path].name, []).append(path)
    return {
        path: TableRead(name, number, len(paths))
        for name, paths in by_name.items()
        for number, path in enumerate(paths, 1)
    }


def _emptied(outputs: Sequence[OutputColumn], reads: Mapping[int, TableRead], privacy: Privacy) -> str:
    """Rows with too few users, added up if only values that were removed told them apart."""
    most = most_required(outputs)
    emptied, keys = [], []
    for place, output in enumerate(outputs, 1):
        name = quoted(output.name)
        value = f"CASE WHEN {_enough(output.facts.level.users, privacy)} THEN {name} END"
        if output.facts.is_summed:
            emptied.append(f"sum({value}) AS {name}")
        else:
            emptied.append(f"{value} AS {name}")
            keys.append(str(place))
    more = _more(privacy, "true", f"least(sum({_ACTUAL}), {most})", f"min({_reason(reads)})")
    grouped = f" GROUP BY {', '.join(keys)}" if keys else " HAVING count(*) > 0"
    return f"SELECT {', '.join([*emptied, *more])} FROM {quoted(TABLE)} WHERE NOT {_SHOWN}{grouped}"


def _more(privacy: Privacy, is_filtered: str, users: str, reason: str) -> list[str]:
    """The columns that were asked for beside the query's own."""
    asked = ((privacy.discriminator, is_filtered), (privacy.user_count, users), (privacy.reason, reason))
    return [f"{sql} AS {quoted(name)}" for name, sql in asked if name]


def _is_distinct(query: QueryExpression) -> bool:
    """Whether equal rows are to be made one after the rules were applied."""
    if isinstance(query, Union):
        return not query.is_all
    return isinstance(query, Select) and query.is_distinct and query.is_grouped
