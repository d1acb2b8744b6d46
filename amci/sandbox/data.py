"""Synthetic events: made once from a seed, a day at a time, and kept as Parquet (design 10)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from importlib import resources
from pathlib import Path

import duckdb

from amci.files import replacing
from amci.names import literal, quoted
from amci.amcsql.sources import Column, sources
from amci.state import named_queries

#: AMC's table, and the statement of `events.sql` that makes its rows.
TABLES = {
    "dsp_impressions": "dsp_impressions",
    "dsp_clicks": "dsp_clicks",
    "sponsored_ads_traffic": "sponsored_ads_traffic",
    "amazon_attributed_events_by_traffic_time": "attributed",
    "conversions": "conversions",
}
#: Changes when `events.sql` makes other events than before.
VERSION = 1
_ZONE = "America/New_York"


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """The events of one seed."""

    directory: Path
    seed: int
    users: int
    days: int  #: up to the first last day that is asked for

    def files(self, last: date) -> dict[str, list[Path]]:
        """The Parquet files of each table, with all days up to `last`; those that are missing are made."""
        have = sorted(self._folder(next(iter(TABLES))).glob("*.parquet"))
        covered = max((date.fromisoformat(file.stem.split("_")[1]) for file in have), default=None)
        if covered is None:
            self._make(last - timedelta(days=self.days - 1), last)
        elif covered < last:
            self._make(covered + timedelta(days=1), last)
        return {table: sorted(self._folder(table).glob("*.parquet")) for table in TABLES}

    def _folder(self, table: str) -> Path:
        return self.directory / "events" / f"{VERSION}-{self.seed}-{self.users}-{self.days}" / table

    def _make(self, first: date, last: date) -> None:
        text = (resources.files("amci.sandbox") / "events.sql").read_text(encoding="utf-8")
        given = {"seed": self.seed, "users": self.users, "first": first, "last": last}
        with duckdb.connect() as con:
            con.execute("SET TimeZone = 'UTC'")
            for statement in named_queries(text).values():
                con.execute(statement, {name: given[name] for name in given if f"${name}" in statement})
            # the first table last: its files say which days there are
            for table in reversed(TABLES):
                self._write(con, table, first, last)

    def _write(self, con: duckdb.DuckDBPyConnection, table: str, first: date, last: date) -> None:
        made = TABLES[table]
        have = {name for name, *_ in con.execute(f"DESCRIBE {made}").fetchall()}
        columns = ", ".join(_filled(column, have) for column in sources()[table].columns)
        order = quoted(sources()[table].event_time or "")
        with replacing(self._folder(table) / f"{first}_{last}.parquet") as part:
            con.execute(
                f"COPY (SELECT {columns} FROM {made} ORDER BY {order}, key) TO {literal(str(part))} (FORMAT parquet)"
                if "key" in have
                else f"COPY (SELECT {columns} FROM {made} ORDER BY ALL) TO {literal(str(part))} (FORMAT parquet)"
            )


def _filled(column: Column, have: set[str]) -> str:
    """One column of the table: as made, from its `_dt_utc` twin, or NULL."""
    made = quoted(column.name) if column.name in have else next(_from_twin(column.name, have), "NULL")
    return f"CAST({made} AS {column.sql_type}) AS {quoted(column.name)}"


#: What a column's end says about its `_dt_utc` twin.
_PARTS = {
    "_dt": "{}",
    "_dt_hour": "date_trunc('hour', {})",
    "_date": "CAST({} AS DATE)",
    "_day": "day({})",
    "_hour": "hour({})",
}


def _from_twin(name: str, have: set[str]) -> Iterator[str]:
    """The column as a part of the moment beside it; without `_utc`, in the advertiser's time zone."""
    stem, is_utc = name.removesuffix("_utc"), name.endswith("_utc")
    for end, part in _PARTS.items():
        twin = f"{stem.removesuffix(end)}_dt_utc"
        if stem.endswith(end) and twin in have:
            at = quoted(twin)
            yield part.format(at if is_utc else f"timezone('{_ZONE}', timezone('UTC', {at}))")
