"""The synthetic world of one seed: its files are generated once, a stretch of days at a time, and read as views."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb

from amci.amcsql.sources import Source, audience_sources, sources
from amci.kernel.files import replacing
from amci.kernel.names import literal, quoted
from amci.sandbox.data.families import FAMILIES, Family, script
from amci.sandbox.data.generate import HIDDEN, EventGenerator, derived

#: Raised whenever other events are generated than before.
VERSION = 2
#: Schema of the tables in DuckDB, so that a CTE of a query may have the name of one of them.
SCHEMA = "amc"
#: Written last, so its files tell which days are complete.
_LAST_TABLE = "dsp"
_DAY = timedelta(days=1)
#: Of the table of traffic with its conversions: the conversion may come after the last day.
_CONVERSION_TIME = "conversion_event_dt_utc"
_PEOPLE_COLUMNS = 'person, user_id, user_id_type, "amci user", "amci part"'
#: Called now and then while events are generated: days done, days in all.
Progress = Callable[[int, int], None]


def _silent(_done: int, _all: int) -> None:
    """Report nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The events of one seed."""

    directory: Path
    seed: int
    scale: float  #: 1 is 100,000 people
    days: int  #: so many, up to the last day of the first request

    @property
    def version(self) -> str:
        """Tells worlds with different events apart; the last day is not part of it."""
        return f"{VERSION}-{self.seed}-{self.scale:g}-{self.days}"

    @property
    def folder(self) -> Path:
        """The folder of its files, with a folder for each table."""
        return self.directory / "events" / self.version

    def prepare(self, last: date, *, progress: Progress = _silent) -> None:
        """Generate what is missing up to `last`: `days` days at first, later the days since.

        Raises StorageError if the disk refuses or is full.
        """
        have = self._stretches()
        self.make(have[0][0] if have else last - (self.days - 1) * _DAY, last, progress=progress)

    def make(self, first: date, last: date, *, progress: Progress = _silent) -> None:
        """Generate what is missing of the days `first` to `last`, both included.

        Raises StorageError if the disk refuses.
        """
        stretches = self._missing(first, last)
        days = [(end - begin).days + 1 for begin, end in stretches]
        for position, (begin, end) in enumerate(stretches):
            before = sum(days[:position])
            generator = EventGenerator(
                folder=self.folder, seed=self.seed, scale=self.scale, families=FAMILIES
            )
            for done in generator.stretch(begin, end, last_table=_LAST_TABLE):
                progress(before + done, sum(days))

    def statements(self, last: date, tables: Collection[str] | None = None) -> Iterator[str]:
        """CREATE VIEW for these of AMC's tables, or all, in the schema SCHEMA, with the events up to `last`."""
        stems = [f"{begin}_{end}" for begin, end in self._stretches() if begin <= last]
        files = {
            table.name: [
                self.folder / table.name / f"{stem}.parquet"
                for stem in (["all"] if table.is_dimension else stems)
            ]
            for family in FAMILIES
            for table in family.files
        }
        return views(FAMILIES, files if stems else {}, last, tables)

    def _stretches(self) -> list[tuple[date, date]]:
        """The complete stretches, first and last day of each; what a killed process left does not count."""
        stems = sorted(path.stem for path in (self.folder / _LAST_TABLE).glob("*.parquet"))
        return [(date.fromisoformat(stem[:10]), date.fromisoformat(stem[-10:])) for stem in stems]

    def _missing(self, first: date, last: date) -> list[tuple[date, date]]:
        """The stretches between `first` and `last` that have no files."""
        missing, begin = [], first
        for there, until in self._stretches():
            if there > last or until < begin:
                continue
            if begin < there:
                missing.append((begin, there - _DAY))
            begin = until + _DAY
        return [*missing, (begin, last)] if begin <= last else missing


def views(
    families: tuple[Family, ...],
    files: Mapping[str, list[Path]],
    last: date,
    tables: Collection[str] | None = None,
) -> Iterator[str]:
    """CREATE VIEW for these of AMC's tables and of their twins for audiences, or all, with the events up to `last`."""
    relations = _relations(families, files)
    for source in sources().values():
        twin = [audience_sources()[source.audience_table]] if source.audience_table else []
        for viewed in (source, *twin):
            if tables is None or viewed.name in tables:
                yield _view(viewed, relations.get(source.name), last)


def _relations(families: tuple[Family, ...], files: Mapping[str, list[Path]]) -> dict[str, str]:
    read = {name: _read(paths) for name, paths in files.items() if paths}
    found = {name: f"FROM {text}" for name, text in read.items()}
    for family in families:
        if all(table.name in read for table in family.files):
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
    for moment in dict.fromkeys(filter(source.by_name.get, (source.event_time or "", _CONVERSION_TIME))):
        yield f"e.{quoted(moment)} < {literal(str(last + timedelta(days=1)))}"
    if source.is_for_audiences and source.has_users:
        # only these can be reached, and rows of a deal are left out (amc-api 2.4)
        yield "e.user_id_type = 'adUserId'"
        if "deal_id" in source.by_name:
            yield "e.deal_id IS NULL"


def people_of(directory: Path, seed: int, scale: float) -> str:
    """A SELECT of the people of a world: person, user_id, user_id_type, "amci user", "amci part".

    They are written to a Parquet file the first time. user_id is NULL for people whom AMC does not know. Raises
    StorageError.
    """
    path = directory / "people" / f"{VERSION}-{seed}-{scale:g}.parquet"
    if not path.exists():
        number = EventGenerator(folder=directory, seed=seed, scale=scale, families=()).people
        with replacing(path) as part:
            _write_people(part, seed, number)
    return f"SELECT {_PEOPLE_COLUMNS} FROM read_parquet({literal(str(path))})"


def _write_people(target: Path, seed: int, number: int) -> None:
    """Run `world.sql` up to its table of people, and write that."""
    with duckdb.connect() as con:
        con.execute(f"CREATE TEMP MACRO seed() AS {int(seed)}")
        con.execute(f"CREATE TEMP MACRO population() AS {number}::BIGINT")
        for name, statement in script("world.sql").items():
            con.execute(statement)
            if name == "people":
                break
        con.execute(
            f"COPY (SELECT {_PEOPLE_COLUMNS} FROM people ORDER BY person) TO {literal(str(target))} (FORMAT parquet)"
        )
