"""AMC result files: keys, rows and CSV as AMC writes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from amci.app.samples.figures import COLUMNS, WORKFLOWS, Draw
from amci.app.samples.model import Cell, encoded, seeded


@dataclass(frozen=True, slots=True)
class Result:
    """One AMC result file: where it lies, and how many rows it has."""

    tenant: str
    workflow: str
    schedule: str
    stamp: str  #: a date where scheduled, a moment where ad hoc
    count: int
    shape: str = ""  #: the workflow whose columns it has, where that is another one
    note: str = ""

    @property
    def key(self) -> str:
        """Where it lands."""
        file = f"{self.stamp}-{self.workflow}{'' if self.schedule == 'adhoc' else '-ver1'}.csv"
        return f"{self.tenant}/workflow={self.workflow}/schedule={self.schedule}/{file}"

    @property
    def about(self) -> str:
        """What is special about it."""
        return self.note or f"{self.workflow}, {self.schedule}"

    def rows(self, seed: int, *, late: int = 0) -> list[dict[str, Cell]]:
        """`late` adds that many rows at the end and changes every fifth of the others."""
        rng, day = seeded(seed, self.key), date.fromisoformat(self.stamp[:10])
        makers = [(name, COLUMNS[name]) for name in WORKFLOWS[self.shape or self.workflow].split()]
        rows: list[dict[str, Cell]] = []
        for n in range(self.count + late):
            draw = Draw(rng, self.tenant, day)
            draw.users += 3 if late and n < self.count and n % 5 == 0 else 0
            row = {name: make(draw) for name, make in makers}
            rows.append(filtered(row) if rng.randrange(30) == 0 else row | {"filtered": False})
        return rows

    def lines(self, seed: int, *, late: int = 0) -> list[str]:
        """The header and one text per row, which may hold a quoted newline."""
        return csv_lines(self.rows(seed, late=late))


def filtered(row: dict[str, Cell]) -> dict[str, Cell]:
    """A row below AMC's aggregation threshold: its figures are gone."""
    return {name: cell if isinstance(cell, str) else None for name, cell in row.items()} | {"filtered": True}


def csv_lines(rows: list[dict[str, Cell]]) -> list[str]:
    """The header and one text per row, which may hold a quoted newline."""
    return [",".join(rows[0]), *(",".join(map(_cell, row.values())) for row in rows)]


_QUOTED = re.compile('[",\n]')


def _cell(cell: Cell) -> str:
    """As AMC writes it: nothing for NULL, quotes only where needed, a backslash before a quote inside."""
    if cell is None or isinstance(cell, bool):
        return "" if cell is None else str(cell).lower()
    text = str(cell)
    return '"' + text.replace('"', '\\"') + '"' if _QUOTED.search(text) else text


def ragged(lines: list[str]) -> bytes:
    """The row in the middle loses its last cell."""
    middle = len(lines) // 2
    return encoded([*lines[:middle], lines[middle].rpartition(",")[0], *lines[middle + 1 :]])
