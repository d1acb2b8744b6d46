"""Which header of a file is which column of a table: remembered, so that it never depends on a place or an order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain

from amci.kernel.names import column_key, column_name, earlier_names, sanitized, with_digits

#: Between a header that a file repeats and which of the columns is meant.
_NTH = "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileColumns:
    """The columns of some staged rows, by the names they have there."""

    headers: Mapping[str, str]  #: as the file spells them; of the second of two that are the same, see `nth`
    earlier: Mapping[str, str] = field(
        default_factory=dict
    )  #: what earlier releases called them, if otherwise

    def only(self, names: Iterable[str]) -> FileColumns:
        """Some of the columns, and further ones with their names for headers."""
        listed = list(names)
        return FileColumns(
            headers={name: self.headers.get(name, name) for name in listed},
            earlier={name: self.earlier[name] for name in listed if name in self.earlier},
        )

    def and_of(self, other: FileColumns) -> FileColumns:
        """These columns and those of another file whose names agree with theirs."""
        if self is other:
            return self
        return FileColumns(
            headers={**self.headers, **other.headers}, earlier={**self.earlier, **other.earlier}
        )

    def named(self, asked: str) -> str | None:
        """The column that somebody means: by its name, by its header, or by what earlier releases called it."""
        if asked in self.headers:
            return asked
        before = sanitized(asked)
        for name, header in self.headers.items():
            if header == asked:
                return name
        by_rule = next((name for name in (column_name(asked), before) if name in self.headers), None)
        return by_rule or next((name for name, was in self.earlier.items() if was == before), None)

    def renamed(self, names: Mapping[str, str]) -> FileColumns:
        """The columns in `names`, under the names that stand there."""
        return FileColumns(
            headers={new: self.headers[old] for old, new in names.items()},
            earlier={new: self.earlier[old] for old, new in names.items() if old in self.earlier},
        )

    def merged(self, other: FileColumns) -> FileColumns | None:
        """The columns of two files; None if a name has another header in the other one, or a header another name."""
        headers = {**self.headers, **other.headers}
        is_one = all(headers[name] == header for name, header in self.headers.items())
        if not is_one or len(set(headers.values())) < len(headers):
            return None
        return FileColumns(headers=headers, earlier={**other.earlier, **self.earlier})

    def paths(self, names: Iterable[str]) -> list[tuple[str]]:
        """What the file calls these columns; the steps to a field inside others have points between them."""
        return [(self.headers[name].partition(_NTH)[0],) for name in names]

    @property
    def repeated(self) -> list[str]:
        """The columns whose header, if it is one, stands in the file before."""
        return [
            name
            for name, header in self.headers.items()
            if _shown(header) != header and header.partition(_NTH)[0].strip()
            # A header of two lines may look like the second of two that are the same.
            if header.partition(_NTH)[0] in self.headers.values()
        ]

    @property
    def spelled(self) -> dict[str, str]:
        """The headers that are not the column's name."""
        return {name: header for name, header in self.headers.items() if name != header}

    @property
    def is_plain(self) -> bool:
        """Whether every header is the column's name already."""
        return not self.earlier and not self.spelled


@dataclass(frozen=True, slots=True, kw_only=True)
class TableHeaders:
    """What the columns of a table were called in the files that its rows are from.

    A column that is not in `known` has its name from a header that is spelled the same, unless it is `unknown`.
    """

    known: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  #: by column, the first one first
    unknown: frozenset[str] = frozenset()  #: columns made by a release that kept no headers

    def of(self, column: str) -> tuple[str, ...]:
        """The headers of a column; none if nobody knows."""
        return () if column in self.unknown else self.known.get(column, (column,))

    def shown(self) -> dict[str, str]:
        """For people: the header of each column that is not called so, the first one that came."""
        return {column: _shown(headers[0]) for column, headers in self.known.items()}

    def renamed(self) -> Iterator[tuple[str, str]]:
        """Of those, the ones that differ in more than case, blanks and punctuation."""
        return ((column, header) for column, header in self.shown().items() if sanitized(header) != column)

    def placed(self, file: FileColumns, columns: Collection[str], own: Collection[str]) -> dict[str, str]:
        """The column of the table for each of a file's, by the file's name for it.

        `columns` are the table's, `own` those that amci gives it and no file may have.

        1. A header that the table knows has its column.
        2. What a release made that kept no headers belongs to the header that had that name there.
        3. Others have the name they ask for. Headers of two files that differ in case, blanks and punctuation only
           are one column; of one file they are two, of which the second gets digits made from its spelling.
        """
        if not columns or (not self.known and file.is_plain):
            return {name: name for name in file.headers}
        homes = self._homes(file, columns)
        by_spelling = sorted(
            file.headers, key=lambda n: (homes.get(file.headers[n]) != file.headers[n], file.headers[n])
        )
        at_home = ((name, homes.get(file.headers[name])) for name in by_spelling)
        as_before = ((name, file.earlier.get(name, name)) for name in file.headers)
        result: dict[str, str] = {}
        taken = set(own)
        for name, column in chain(at_home, ((n, c) for n, c in as_before if c in self.unknown)):
            if column is not None and name not in result and column not in taken:
                result[name] = column
                taken.add(column)
        there = set(file.headers.values())
        for name in by_spelling:
            if name not in result:
                result[name] = self._fresh(name, file.headers[name], there, columns, taken)
                taken.add(result[name])
        return {name: result[name] for name in file.headers}

    def _homes(self, file: FileColumns, columns: Collection[str]) -> dict[str, str]:
        """The columns that are known for headers, as far as a file may ask."""
        own_names = (
            header
            for header in file.headers.values()
            if header in columns and header not in self.known and header not in self.unknown
        )
        known = {header: column for column, headers in self.known.items() for header in headers}
        return {header: header for header in own_names} | known

    def _fresh(
        self, name: str, header: str, there: set[str], columns: Collection[str], taken: set[str]
    ) -> str:
        """The column for a header that the table has not met, `name` if it may be."""
        text = header.partition(_NTH)[0]
        for asked in (name, column_name(text)):
            if asked in taken:
                continue
            if asked not in columns:
                return asked
            have = self.of(asked)
            if have and there.isdisjoint(have) and _same(header, have):
                return asked
        return with_digits(column_name(text), header, {*columns, *taken})

    def noting(self, placed: Mapping[str, str], file: FileColumns, columns: Collection[str]) -> TableHeaders:
        """The same with the headers of rows that go to these places; itself if there is nothing new."""
        known = dict(self.known)
        unknown = set(self.unknown)
        homes = {header: column for column, headers in known.items() for header in headers}
        for name, column in placed.items():
            header = file.headers[name]
            unknown.discard(column)
            if column in columns and header in self.of(column):
                continue
            if (old := homes.get(header)) and old != column:
                # Two spellings of one column that a file now has side by side.
                known[old] = tuple(each for each in known[old] if each != header) or (old,)
            have = known.get(column, (column,) if column in columns and column not in self.unknown else ())
            if header not in have:
                known[column] = (*have, header)
        known = {column: headers for column, headers in known.items() if headers != (column,)}
        if known == self.known and unknown == self.unknown:
            return self
        return TableHeaders(known=known, unknown=frozenset(unknown))


@lru_cache(maxsize=256)
def file_columns(
    names: tuple[str, ...],
    paths: tuple[tuple[str, ...], ...],
    reserved: frozenset[str],
    *,
    is_nested: bool = False,
) -> FileColumns:
    r"""The columns of a file that a reader has named so; `paths` are the names that the file has for them.

    If the file `is_nested`, a point in a name is not a step to a field inside another: `{"a.b": 1}` has the header
    `a\.b`, and `{"a": {"b": 1}}` has `a.b`.
    """
    headers: dict[str, str] = {}
    times: dict[str, int] = {}
    for name, path in zip(names, paths, strict=True):
        # Half of a surrogate pair, which JSON can write, is no text that could be kept.
        steps = (step.replace("\\", "\\\\").replace(".", "\\.") for step in path) if is_nested else path
        header = ".".join(steps).encode(errors="replace").decode()
        times[header] = n = times.get(header, 0) + 1
        headers[name] = nth(header, n)
    before = zip(names, earlier_names(paths, reserved), strict=True)
    return FileColumns(headers=headers, earlier={name: was for name, was in before if name != was})


def nth(header: str, n: int) -> str:
    """A header that a file repeats, of its n-th column."""
    return header if n == 1 else f"{header}{_NTH}{n}"


def _shown(header: str) -> str:
    """The header for people: `Spend`, and `Spend (2)` of the second column of that name."""
    text, _, n = header.rpartition(_NTH)
    return f"{text} ({n})" if text and n.isdigit() else header


def _same(header: str, have: tuple[str, ...]) -> bool:
    """Whether a header is another spelling of one of these."""
    text, _, n = header.partition(_NTH)
    return any((column_key(t), m) == (column_key(text), n) for t, _, m in (h.partition(_NTH) for h in have))
