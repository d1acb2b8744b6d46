"""AMC's tables and their twins for audiences as views over the files of the world."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path

from amci.amcsql.sources import Source, audience_sources, sources
from amci.kernel.names import literal, quoted
from amci.sandbox.data.columns import HIDDEN, derived
from amci.sandbox.data.families import Family

#: Where the tables lie in DuckDB; a CTE of a query may be called like one of them.
SCHEMA = "amc"
#: Where traffic is the event, what it leads to may still lie ahead.
_STILL_TO_COME = "conversion_event_dt_utc"


def views(families: tuple[Family, ...], files: Mapping[str, list[Path]], last: date) -> Iterator[str]:
    """CREATE VIEW for each table of AMC's and each twin for audiences, with the events up to `last`."""
    relations = _relations(families, files)
    for source in sources().values():
        relation = relations.get(source.name)
        yield _view(source, relation, last)
        if source.audience_table:
            yield _view(audience_sources()[source.audience_table], relation, last)


def _relations(families: tuple[Family, ...], files: Mapping[str, list[Path]]) -> dict[str, str]:
    read = {name: _read(paths) for name, paths in files.items() if paths}
    found = {name: f"FROM {text}" for name, text in read.items()}
    for family in families:
        if all(made.name in read for made in family.files):
            found |= {name: sql.format_map(read) for name, sql in family.views.items()}
    return found


def _read(paths: list[Path]) -> str:
    return f"read_parquet([{', '.join(literal(str(path)) for path in paths)}])"


def _view(source: Source, relation: str | None, last: date) -> str:
    columns = [
        f"CAST({_expression(source, column.name, relation)} AS {column.sql_type}) AS {quoted(column.name)}"
        for column in source.columns
    ]
    if source.has_users:
        columns += [quoted(name) if relation else f"0 AS {quoted(name)}" for name in HIDDEN]
    rows = f"FROM ({relation}) AS e" if relation else ""
    where = " AND ".join(_conditions(source, last)) if relation else "false"
    name = f"{SCHEMA}.{quoted(source.name)}"
    return f"CREATE VIEW {name} AS SELECT {', '.join(columns)} {rows} WHERE {where or 'true'}"


def _expression(source: Source, name: str, relation: str | None) -> str:
    if relation is None:
        return "NULL"
    return derived(source, source.by_name[name]) or f"e.{quoted(name)}"


def _conditions(source: Source, last: date) -> Iterator[str]:
    for moment in dict.fromkeys(filter(source.by_name.get, (source.event_time or "", _STILL_TO_COME))):
        yield f"e.{quoted(moment)} < {literal(str(last + timedelta(days=1)))}"
    if source.is_for_audiences and source.has_users:
        # only these can be reached, and no rows of a deal are shown (amc-api 2.4)
        yield "e.user_id_type = 'adUserId'"
        if "deal_id" in source.by_name:
            yield "e.deal_id IS NULL"
