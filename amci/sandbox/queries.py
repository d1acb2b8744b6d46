"""Workflows as queries: compiled for a time window, run on the synthetic events, told as a result file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from amci.sandbox.errors import CompileError
from amci.sandbox.options import SandboxOptions
from amci.sandbox.results import Format, csv, format_of, output_columns
from amci.sandbox.windows import Window

if TYPE_CHECKING:
    from amci.sandbox.engine import Engine
    from amci.sandbox.sql import Translated

_REMEMBERED = 1024  #: translations


@dataclass(frozen=True, slots=True)
class Advertiser:
    """An advertiser whose events there are."""

    advertiser_id: int
    name: str


#: Those of `events.sql`.
ADVERTISERS = (Advertiser(1234567890, "Northwind Outdoor"), Advertiser(2345678901, "Atlas Pets"))


#: The query as the workflow has it, its `inputParameters` and the parameter values, both as JSON.
Asked = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A query ready to run."""

    sql: str  #: for DuckDB, with window and parameter values in place
    asked: Asked
    result_id: str  #: the same for queries that must give the same file
    kinds: Sequence[str]  #: DIMENSION or METRIC, a column each
    form: Format
    last: date  #: last day of events it may see


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A result file and what is in it."""

    content: bytes
    columns: Sequence[Mapping[str, Any]]  #: AMC's `outputColumns`
    rows: int


class Queries:
    """Compiles and runs; threads may share it. DuckDB is imported when it is first needed."""

    def __init__(self, directory: Path, options: SandboxOptions) -> None:
        self._directory = directory
        self._options = options
        self._made: Engine | None = None
        self._making = Lock()
        self._compiled: set[Asked] = set()
        # many executions of one workflow ask the same for the same window
        self._translated = lru_cache(maxsize=_REMEMBERED)(_translated)

    def compile(self, definition: Mapping[str, Any]) -> None:
        """Raise CompileError unless the workflow's SQL can be run."""
        from amci.sandbox.sql import translate

        original, declared = str(definition["sqlQuery"]), _declared(definition)
        self._check((original, json.dumps(declared), "{}"), translate(original, declared).sql)

    def prepare(
        self,
        instance_id: str,
        definition: Mapping[str, Any],
        values: Mapping[str, Any],
        window: Window,
        now: datetime,
    ) -> Prepared:
        """An instance's query for a window and parameter values, asked at `now`; raises CompileError."""
        declared, given = json.dumps(_declared(definition)), json.dumps(values)
        last = self._options.anchor or now.date()
        original = str(definition["sqlQuery"])
        at = now if _asks_the_time(original) else window.end
        translated = self._translated(original, declared, given, window.start, window.end, at, instance_id)
        form = format_of(definition.get("outputFormat"))
        same = "\0".join((translated.sql, str(form), self._engine.version, str(last)))
        return Prepared(
            sql=translated.sql,
            asked=(original, declared, given),
            result_id=hashlib.sha256(same.encode()).hexdigest(),
            kinds=translated.kinds,
            form=form,
            last=last,
        )

    def run(self, prepared: Prepared) -> Result:
        """Run it; raises CompileError where the original was never compiled and cannot be, QueryFailed."""
        self._check(prepared.asked, prepared.sql)
        rows = self._engine.run(prepared.sql, prepared.last)
        return Result(
            content=csv(rows.names, rows.values, prepared.form),
            columns=output_columns(rows.names, rows.types, prepared.kinds),
            rows=len(rows.values),
        )

    def _check(self, asked: Asked, sql: str) -> None:
        """Raise CompileError unless DuckDB can run it. For another window or instance it is as good."""
        if asked in self._compiled:
            return
        self._engine.check(sql, asked[0])
        if len(self._compiled) >= _REMEMBERED:
            self._compiled.clear()
        self._compiled.add(asked)

    def close(self) -> None:
        """Let go of the sessions."""
        if self._made is not None:
            self._made.close()

    @property
    def _engine(self) -> Engine:
        with self._making:
            if self._made is None:
                from amci.sandbox.engine import Engine

                self._made = Engine(self._directory, self._options)
            return self._made


def _declared(definition: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    declared = definition.get("inputParameters") or []
    if not isinstance(declared, list) or not all(isinstance(each, dict) for each in declared):
        raise CompileError("inputParameters must be a list of parameters.")
    return declared


def _translated(
    sql: str, declared: str, values: str, start: datetime, end: datetime, now: datetime, instance_id: str
) -> Translated:
    from amci.sandbox.sql import translate

    window = Window(start=start, end=end)
    return translate(sql, json.loads(declared), json.loads(values), window, now, instance_id)


@lru_cache(maxsize=_REMEMBERED)
def _asks_the_time(sql: str) -> bool:
    from amci.sandbox.sql import asks_the_time

    return asks_the_time(sql)
