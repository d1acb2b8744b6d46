"""The world of one seed: its files are made once, a stretch of days at a time, and read as views."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from amci.sandbox.data.catalogue import FAMILIES
from amci.sandbox.data.generate import Making
from amci.sandbox.data.views import views

#: Changes when other events are made than before.
VERSION = 2
#: Its files say which days there are; they are written last.
_LAST_TABLE = "dsp"
_DAY = timedelta(days=1)
#: Told now and then while events are made: how many of how many days there are.
Progress = Callable[[int, int], None]


def _silent(_done: int, _all: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The events of one seed."""

    directory: Path
    seed: int
    scale: float  #: 1 is 100,000 people
    days: int  #: up to the first last day that is asked for

    @property
    def version(self) -> str:
        """Which events there are, beside their last day."""
        return f"{VERSION}-{self.seed}-{self.scale:g}-{self.days}"

    @property
    def folder(self) -> Path:
        """Where its files are: a folder for each table."""
        return self.directory / "events" / self.version

    def prepare(self, last: date, *, progress: Progress = _silent) -> None:
        """Have all events up to `last`: the first time of `days` days, later of the days that have come."""
        have = self._stretches()
        self.make(have[0][0] if have else last - (self.days - 1) * _DAY, last, progress=progress)

    def make(self, first: date, last: date, *, progress: Progress = _silent) -> None:
        """Have the events of the days from `first` to `last`; those that are there are not made again.

        Raises StorageError where the disk refuses.
        """
        stretches = self._missing(first, last)
        days = [(end - begin).days + 1 for begin, end in stretches]
        for position, (begin, end) in enumerate(stretches):
            before = sum(days[:position])
            making = Making(folder=self.folder, seed=self.seed, scale=self.scale, families=FAMILIES)
            for done in making.stretch(begin, end, last_table=_LAST_TABLE):
                progress(before + done, sum(days))

    def statements(self, last: date) -> Iterator[str]:
        """CREATE VIEW for all of AMC's tables in the schema `amc`, with the events up to `last`."""
        stems = [f"{begin}_{end}" for begin, end in self._stretches() if begin <= last]
        files = {
            made.name: [
                self.folder / made.name / f"{stem}.parquet"
                for stem in (["all"] if made.is_dimension else stems)
            ]
            for family in FAMILIES
            for made in family.files
        }
        return views(FAMILIES, files if stems else {}, last)

    def _stretches(self) -> list[tuple[date, date]]:
        """The days there are: those that a killed process left unfinished do not count."""
        stems = sorted(path.stem for path in (self.folder / _LAST_TABLE).glob("*.parquet"))
        return [(date.fromisoformat(stem[:10]), date.fromisoformat(stem[-10:])) for stem in stems]

    def _missing(self, first: date, last: date) -> list[tuple[date, date]]:
        """The stretches of days between `first` and `last` for which there are no files."""
        missing, begin = [], first
        for there, until in self._stretches():
            if there > last or until < begin:
                continue
            if begin < there:
                missing.append((begin, there - _DAY))
            begin = until + _DAY
        return [*missing, (begin, last)] if begin <= last else missing
